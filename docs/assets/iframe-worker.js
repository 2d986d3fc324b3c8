// Browsers start no worker from a page that was opened as a file, and the search runs in one.
// There its script runs in a hidden frame instead, with the same messages. The theme asks for the
// name IFrameWorker to know from where such a script loads others.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.append(frame);
      const inside = frame.contentWindow;
      inside.importScripts = async (...scripts) => {
        for (const script of scripts) await load(inside.document, script);
      };
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.ready = load(inside.document, new URL(url, location).href).then(() => inside);
    }

    async postMessage(data) {
      (await this.ready).dispatchEvent(new MessageEvent("message", { data }));
    }
  };

  function load(page, url) {
    return new Promise((resolve, reject) => {
      const script = page.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${url} cannot be loaded`));
      page.head.append(script);
    });
  }
}
