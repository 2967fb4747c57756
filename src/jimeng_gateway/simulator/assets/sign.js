// Does what the site's risk script does as far as a client can see: it announces itself as window.bdms, takes
// fetch over, and adds msToken and a_bogus to the query of protected paths. The values are made up here; page.py
// makes the same ones from the session of the cookie, so a signature of another session's page does not pass.
(() => {
  const { key, behaviour, delay, paths } = window.simulated;
  const bytes = new TextEncoder();

  const digest = (text) => {
    let hash = 0x811c9dc5;
    for (const byte of bytes.encode(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    return hash.toString(16).padStart(8, "0");
  };
  const many = (length, make) => Array.from({ length }, (_, index) => make(index)).join("");
  const bogus = (text) => {
    const seed = digest(text);
    return many(23, (index) => digest(`${index}|${seed}`)).slice(0, 180);
  };
  const token = () => many(184, () => "abcdefghjkmnpqrstvwxyz23456789"[(Math.random() * 30) | 0]);

  const signed = (address) => {
    const url = new URL(address, location.href);
    if (!paths.includes(url.pathname)) return address;
    const query = url.search.slice(1);
    const msToken = token();
    const sign = bogus([key, url.pathname, query, msToken].join("|"));
    return `${url.origin}${url.pathname}?${query}${query && "&"}msToken=${msToken}&a_bogus=${sign}`;
  };

  const takeOver = () => {
    if (behaviour === "alert") alert("Welcome");
    const original = window.fetch;
    window.bdms = { init() {} };
    window.fetch = async (address, init) => {
      if (behaviour === "unsigned") return original(address, init);
      const sent = original(signed(address), init);
      if (behaviour === "twice") original(signed(address), init).catch(() => {});
      if (behaviour === "leave") sent.finally(() => location.assign("/ai-tool/static/gone.html"));
      return sent;
    };
  };
  if (behaviour !== "broken") setTimeout(takeOver, delay * 1000);
})();
