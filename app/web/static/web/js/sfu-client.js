/**
 * LiveKit's client, which weighs as much as all the rest of the page: fetched once a call goes
 * through the media server. The page has its script in a template, which runs when a copy of it is
 * put in: so the page itself names the file, and nothing here makes a script from a text.
 */

/** @type {Promise<any> | null} */
let loading = null;

/** @returns {Promise<any>} what `livekit-client` exports @throws {Error} the file did not come; the next time it is asked for again */
export function sfuClient() {
  loading ??= fetched().catch((error) => {
    loading = null;
    throw error;
  });
  return loading;
}

/** @returns {Promise<any>} */
function fetched() {
  return new Promise((resolve, reject) => {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById('sfu-client'));
    const script = /** @type {HTMLScriptElement} */ (document.importNode(template.content, true).querySelector('script'));
    script.onload = () => {
      const { LivekitClient: client } = /** @type {any} */ (globalThis);
      client.setLogLevel('warn'); // it would tell the console each step
      resolve(client);
    };
    script.onerror = () => {
      script.remove();
      reject(new Error('The client of the media server could not be loaded.'));
    };
    document.head.append(script);
  });
}
