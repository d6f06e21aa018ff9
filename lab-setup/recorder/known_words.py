"""The words that programs write of themselves: only these stay in a scrubbed text, every other gets a pseudonym.

So a name that somebody has given is replaced wherever a program prints it: an interface, a routing table, a set of
addresses, a group, an alias, a user. A name that is also one of these words stays: it tells nothing.
Sources: ip(8), iptables-extensions(8), conntrack(8), nft(8), dig(1), tcpdump(1), ps(1), kubectl, docker, proc(5).
"""

from __future__ import annotations

import re

PROGRAMS = """
    # ip: abort addr address addrs advmss allmulti altname anycast arp babel bbr bgp bird blackhole boot brd broadcast
    cache carrier cni codel congctl cubic cwnd dead default deferred deprecated dev dhcp dnrouted dormant down dynamic
    echo eigrp encap err error errors ether everything exec expires fast forever fq from fwmark gated geneve get
    global goto gre group hoplimit host htb id if ifa iif iifname inet inet6 infiniband initcwnd initrwnd ip ip6tnl
    ipip ipproto is isis keepalived kernel lft lifetime link linkdown list lo local lookup loopback lower
    lowerlayerdown main master metric min mngtmpaddr mode mpls mq mqueue mtu multicast neigh netns netnsid nexthop
    nhid no noarp nodad none noprefixroute noqueue notify nowhere nsid ntk offload oif onlink openr optimistic ospf
    pddr peer permaddr pervasive pfifo pointopoint pref preferred prefix prefixlength privacy prohibit promisc
    promiscuity proto protocol qdisc qlen quickack ra realm realms reordering rip route rto rtt rttvar rule scope sec
    secondary seg6 show sit site slave source src ssthresh stable state static suppress table temporary tentative
    throw to tos trap tunl tunnel tunnel6 type uid uidrange unicast unknown unreachable unresolved unspec up valid via
    vrf vxlan weight wg window wireguard xorp zebra
    # iptables: above accept acct ack add addrtype ah algo all allow always append assured audit balance balancer be
    block bpf br bridged bsd by bypass bytecode bytes cgroup chain checksum clamp class classify clusterip cmd comment
    commit completed confirmed connbytes connections connlabel connlimit connmark connsecmark conntrack contiguous
    counters cpu ct ctdir ctevents ctexpire ctmark ctmask ctorigdst ctorigdstport ctorigsrc ctorigsrcport ctproto
    ctrepldst ctrepldstport ctreplsrc ctreplsrcport ctstate ctstatus custom cwr datestart datestop del destination dir
    directs dnat docker dports drop dscp dst dstlimit dstmask ece ensure esp established every ewma exact exist exists
    expected expire external externally fanout filter fin flags flush for forward forwarded forwarding fragment fuzzy
    gateway generated gid gt gw has hashlimit hashmode hbh health helper hex hexstring hitcount hl hmark htable https
    icase icmp icmp6 icmpv6 icmpx iface igmp incoming input interface internal invalid invert ip6tables ipmac iprange
    iptables ipv6header ipvs jump kerneltz kind label length limit line load localnet log loose lt mac macdecode
    mangle mark mask masq masquerade match max mdst mh mod modprobe module monthdays mport multiport must nat netmap
    new next nf nfacct nflog nfmask nfqueue nft nlgroup nodemask nodeports nomatch non nop not note notrack nowildcard
    numbers object on opts or order orig other our out outbound output over owner packets parameters path physdev pim
    pkt pkttype pol policy port portals ports portscan postrouting prerouting probability proxy psd psh quota random
    rateest raw rcheck rdest rdr reap recent redirect reject related reply reqid requests requiring reset restore
    return rfilter rnd rpfilter rsource rst rttl rules ruleset sack save sctp seconds security segsleft selctx service
    services set skbinfo skmark snat snpt socket soft spi sports statistic strict string strip subject subnet syn
    synproxy system tables target targets tcp tcpmss tcpoptstrip tee that the this threshold timestamp timestart
    timestop total tproxy trace traffic transparent trigger ttl tuple u32 udp udplite unreplied untracked update upto
    urg validmark verbose visible vrrp wait weekdays with wscale xmark zero zone
    # nft: active admin agent and bridge burst canary check chunk cluster code comp concat constant continue count
    counter cs0 csum daddr data day dccp delete destroy dport dstnat dup ecn ect elem element elements endpoint
    endpoints event exp expr exthdr false family fib field firewall flag flow flowtable frag fully fwd handle hash
    hdrlength hint hook hour ifname iifgroup iifkind in index ingress insert interval ip6 ips ipsec ipv4 ipv6 jhash
    json key kitlib kube kubelet l4proto lab last left len level map masquerading meta metainfo meter missing mss name
    net netdev nexthdr nfproto nftables nftrace nodeport nth null num numgen offset oifgroup oifkind oifname op option
    options original osf packet payload per persist persistent pre prio priority prohibited queue range rate release
    request result right rt saddr schema secmark second seed seq sequence size sport srcnat statement status stmt
    symhash th time timeout true unit until used val value verdict version vlan vmap week xor xt yes
    # conntrack: been chainlength chaintoolong clash close closed closing cookie delta drops early entries failed
    fixed found have hw listen open partopen recv resolve respond restart search secctx sent shown shutdown stream
    tools use
    # xtables-monitor: dpt dropped kmp pkts pmtu eth macdst macproto macsrc monitor prec res spt urgp veth xtables
    # dig, getent: aa aaaa ad additional afsdb ahosts ahostsv4 ahostsv6 answer any apl authority axfr badcookie
    badvers bufsize caa cd cdnskey cds cert ch cname comments communications connection could csync debian dgram dhcid
    dig dlv dname dns dnskey dnssec do ds echoed edns end eui48 eui64 formerr getent gmt got header hinfo hip hosts hs
    ignore ipseckey iquery ixfr keepopen kx loc many messages msec msg multiline musl mx nameserver naptr ndots
    network noall noauth nocmd nocomments noedns noerror noquestion norecurse nostats notauth notimp notzone ns nsec
    nsec3 nsec3param nssearch nxdomain nxrrset opcode openpgpkey opt pseudosection ptr px qr query question rcvd rd
    reached reading records recurse recursion refused requested reserved resource resp retry retrying rp rrsig section
    server servers servfail short showsearch sig smimea soa spf srv sshfp stats svcb tc timed tkey tlsa tries
    truncated tsig txt ubuntu uri utc vc warning when wks x25 xfr yxdomain yxrrset zonemd
    # tcpdump: ar au bad capture cksum correct df domain ecr ethertype flowlabel hlim ifindex incorrect jumbo mdns
    nsenter ok oui proc root run sackok tcpdump ts udpsize uname win
    # resolv.conf, sysctl, ethtool: announce attempts buckets cat cidr conf debug done edns0 etc ethtool frag6 generic
    hostname iflink netfilter nic reopen resolv rotate rx sh single sortlist statistics sys sysctl trust tx xdp xmit
    # ps: controller ef manager pid ppid pts stime tty
    # docker: bin com command config containers created driver entr healthy inspect ipaddress ipam ipprefixlen
    ipv4address ipv6address kindest ls macaddress starting unhealthy usr
    # kubectl: about addresses addresstype affinity age ago an api apiserver app attach backoff cidrs client
    clusterfirst clusterfirstwithhostnet clusterips conditions container containercreating containerstatusunknown
    control controlplane cooldown cordoned crashloopbackoff createcontainerconfigerror createcontainererror days
    describe dnspolicy dual endpointslice endpointslices errimagepull evicted exit exited externaldns externalip
    externalips externalname families fqdn gates hostnetwork hours image imagepullbackoff inactive init internaldns
    internalip invalidimagename io ipfamily items kubectl kubernetes kustomize labels lease less loadbalancer
    loadbalancersourceranges localhost metadata metrics minikube minute minutes month months more named names
    namespace networks networksettings node nodename nodes nominated notready oomkilled os outofcpu outofmemory paused
    pending phase plane pod podcidr podinitializing podip podips pods policies preferdualstack private profile public
    readiness ready replicaset requiredualstack resources restarting restarts role roles running runtime scheduler
    schedulingdisabled selector session singlestack slice spec started succeeded svc tainted targetport targetref
    template terminated terminating than unavailable unschedulable versions weeks wide worker workers year years
    # what Kubernetes and its networks call theirs: antrea autoscaler calico canal cilium coredns csi etcd flannel
    kindnet konnectivity multus nginx nodelocaldns openshift operator ovn provisioner rke2 storage tigera typha weave
    # the notebooks': alias big blocked cp curl dot hostnet my neighbour off one outside parallel same stale such
    upstream wrong
    # days and months: apr aug dec feb fri jan jul jun mar may mon nov oct sat sep sun thu tue wed"""
NFT_COMMENTS = {             # kube-proxy's
    "rules for kube-proxy", "Active ClusterIPs", "IPs that accept NodePort traffic",
    "vmap to drop or reject packets to services with no endpoints", "NodePort traffic",
    "vmap to drop or reject packets to service nodeports with no endpoints",
    "destinations that are subject to LoadBalancerSourceRanges", "ClusterIP, ExternalIP and LoadBalancer IP traffic",
    "Reject traffic to invalid ports of ClusterIPs", "Drop traffic to unallocated ClusterIPs",
    "helper for @no-endpoint-services / @no-endpoint-nodeports"}
CHAIN_WORDS = """
    ADMIN AGENT BALANCER BRIDGE CANARY CT DN DNAT DROP EXT EXTERNAL FIREWALL FORWARD FW HINT HOSTPORT INGRESS INPUT
    INTERNAL IPTABLES ISOLATION KUBELET LOAD MARK MASQ NODE NODEPORTS NWPLCY OUTPUT POD PORT POSTROUTING PROXY ROUTER
    SEP SERVICES SETMARK STAGE SVC SVL USER XLB"""
KUBE_CHAIN = (r"(?:KUBE|KIND|DOCKER|CNI)(?:[-_](?:[A-Z2-7]{16}|[\da-f]{21,24}|\d|"
              rf"{'|'.join(CHAIN_WORDS.split())}))*(?![\w-])")      # a hash, or a word of those that write such chains
# Of labels of domain names: those that mean the same everywhere, and those that the notebooks ask for.
LABELS = frozenset(re.findall(r"\w+", """
    arpa in addr ip6 cluster local svc com net org io example test localhost www api alias big no such name dns tcp udp
    metrics https ns hostmaster"""))
KNOWN = frozenset(word.lower() for text in (PROGRAMS, *NFT_COMMENTS, CHAIN_WORDS, *LABELS)
                  for word in re.findall(r"[A-Za-z0-9]+", text))
# Interfaces of CNIs whose names look like those of domains.
DOTTED_INTERFACE = r"flannel(?:-v6)?\.1|vxlan(?:-v6)?\.calico|bpf(?:in|out)\.cali|wireguard\.cali|wg-v6\.cali"
# What kernels, systemd, Docker and the CNI plugins call theirs; enx… is not here: it spells a MAC.
INTERFACE = (
    rf"(?:{DOTTED_INTERFACE}|"
    r"lo|(?:eth|bond|dummy|ifb|br|cni|docker|tunl|wg|sit|gre|gretap|erspan|ip6tnl|ip_vti|ip6_vti|virbr|net|if)\d{1,3}|"
    r"(?:en|ib|wl)(?:[os]\d{1,3}|p\d{1,3}s\d{1,3})(?:[fdn]p?\d{1,3})*|(?:veth|vethwe|cali|lxc|gke|eni|tap)[0-9a-f]{1,15}|"
    r"br-[0-9a-f]{12}|br-(?:int|ex|tun)|cilium_(?:net|host|vxlan|geneve|wg0)|flannel(?:-wg(?:-v6)?|-v6)?|"
    r"vxlan(?:-v6)?|kube-(?:ipvs0|bridge|dummy-if)|genev_sys_\d{1,5}|antrea-gw0|ovs-system|ovn-k8s-mp0)")
NUMBER = (r"\d{1,20}|0x[0-9a-f]{1,8}|(?:\d{1,6}(?:ms|sec|kB|MB|[smhdwy]))+|(?:TYPE|CLASS|RESERVED)\d{1,5}|"
          r"v\d{1,3}|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)\d\d|\d{1,3}(?:au|sec)")
