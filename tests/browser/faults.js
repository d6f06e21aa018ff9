// What is clipped, cut or drawn over in the notebook on this page: a list of sentences, empty when all is well.
() => {
  const faults = [];
  const shown = element => element.getClientRects().length > 0;
  const short = element => (element.textContent || '').trim().replace(/\s+/g, ' ').slice(0, 50);
  const scrolls = element => ['auto', 'scroll'].includes(getComputedStyle(element).overflowX);
  const within = (inner, outer) => inner.left >= outer.left - 1 && inner.right <= outer.right + 1
    && inner.top >= outer.top - 1 && inner.bottom <= outer.bottom + 1;
  // A text's box has room above and below its letters: only what overlaps by more than that is drawn over.
  const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.3 * Math.min(a.height, b.height);

  // WCAG's contrast of two colours; what lies behind a text is the nearest thing under its middle that has a colour.
  const channels = colour => (colour.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const opaque = colour => colour.startsWith('rgb') && (channels(colour)[3] ?? 1) > 0.5;
  const luminance = colour => channels(colour).slice(0, 3).map(c => c / 255)
    .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const colourBehind = (text, box) => {
    const under = document.elementsFromPoint((box.left + box.right) / 2, (box.top + box.bottom) / 2)
      .filter(element => element.closest('text') === null);
    if (!under.includes(text.ownerSVGElement)) return null;    // scrolled out of sight: seen at the wider page
    const colours = under.map(element => element.ownerSVGElement ? getComputedStyle(element).fill
      : getComputedStyle(element).backgroundColor);
    return colours.find(opaque) || 'rgb(255, 255, 255)';
  };
  const contrast = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);

  const checkTexts = svg => {
    const texts = [...svg.querySelectorAll('text')].filter(text => shown(text) && short(text));
    const boxes = texts.map(text => text.getBoundingClientRect());
    texts.forEach((text, i) => {
      if (!within(boxes[i], svg.getBoundingClientRect())) faults.push(`«${short(text)}» lies outside its drawing`);
      const behind = colourBehind(text, boxes[i]);
      const ratio = behind && contrast(luminance(getComputedStyle(text).fill), luminance(behind));
      if (behind && ratio < 3) faults.push(`«${short(text)}» has a contrast of ${ratio.toFixed(1)} only`);
      texts.slice(i + 1).forEach((other, j) => {
        if (overlap(boxes[i], boxes[i + 1 + j])) faults.push(`«${short(text)}» and «${short(other)}» overlap`);
      });
    });
  };

  // A picture is an image: for a moment its SVG takes its place, in the same size, so that its texts can be looked at.
  const checkPicture = image => {
    const bytes = Uint8Array.from(atob(image.src.split(',')[1]), letter => letter.charCodeAt(0));
    const svg = new DOMParser().parseFromString(new TextDecoder().decode(bytes), 'image/svg+xml').documentElement;
    const shown = document.importNode(svg, true);
    shown.style.width = `${image.clientWidth}px`;
    shown.style.height = `${image.clientHeight}px`;
    image.replaceWith(shown);
    checkTexts(shown);
    shown.replaceWith(image);
  };

  for (const figure of document.querySelectorAll('.jp-OutputArea .kit-drawing')) {
    if (!shown(figure)) continue;
    const area = figure.closest('.jp-OutputArea-output').getBoundingClientRect();
    const box = figure.getBoundingClientRect();
    if (box.right > area.right + 1) faults.push(`drawing «${short(figure)}» is wider than its cell`);
    for (const image of figure.querySelectorAll('img')) checkPicture(image);
  }
  for (const control of document.querySelectorAll('.kit-widget :is(button, label, .widget-label, .widget-html-content)')) {
    if (shown(control) && !scrolls(control) && control.scrollWidth > control.clientWidth + 1 && control.clientWidth)
      faults.push(`the widget's «${short(control)}» is cut: ${control.scrollWidth} px in ${control.clientWidth}`);
  }
  return faults;
}
