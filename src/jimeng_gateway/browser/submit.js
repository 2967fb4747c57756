// Sends a submit as the page itself would. Asks nothing of a page that is not the site's, or whose fetch nobody
// has taken over.
async (origin, method, url, headers, body, milliseconds) => {
  const announced = Boolean(window.bdms?.init || window.byted_acrawler);
  const native = /\[native code\]/.test(Function.prototype.toString.call(window.fetch));
  if (location.origin !== origin || (native && !announced)) return { unready: true };
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), milliseconds);
  try {
    const init = { method, headers, body, credentials: "include", signal: abort.signal };
    const response = await window.fetch(url, init);
    return { status: response.status, text: await response.text() };
  } catch (error) {
    return { error: String(error), timeout: abort.signal.aborted };
  } finally {
    clearTimeout(timer);
  }
}
