// Runs every notebook of the browser edition in the same Pyodide under Node, and compares with what is stored.
// Usage: node check.mjs SITE NOTEBOOK...   (make test-browser does it)

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [site, ...notebooks] = process.argv.slice(2).map((name) => path.resolve(name));
const runtime = path.join(site, "static", "pyodide") + path.sep;
const { loadPyodide } = await import(pathToFileURL(runtime + "pyodide.mjs"));
const python = await loadPyodide({ indexURL: runtime });
const packages = python.runPython("import site; site.getsitepackages()[0]");
for (const name of fs.readdirSync(runtime).filter((name) => name.endsWith(".whl"))) {
  python.unpackArchive(new Uint8Array(fs.readFileSync(runtime + name)), "wheel", { extractDir: packages });
}
python.runPython(fs.readFileSync(new URL("check.py", import.meta.url), "utf8"));
const check = python.globals.get("check");

let failed = 0;
python.FS.mkdir("/course");
for (const notebook of notebooks) {
  const copy = "/course/" + path.basename(notebook);
  python.FS.writeFile(copy, fs.readFileSync(notebook));
  const differences = check(copy);
  failed += differences ? 1 : 0;
  console.log(`${path.basename(notebook)}: ${differences ? "\n" + differences : "as stored"}`);
}
console.log(`${notebooks.length - failed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
