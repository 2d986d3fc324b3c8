// Browsers start no worker from a page that was opened as a file, and the search runs in one.
// There its script runs in a hidden frame instead, with the same messages.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      this.inside = new Promise((resolve) => {
        document.body.append(frame);
        const inside = frame.contentWindow;
        inside.importScripts = async (...scripts) => {
          for (const script of scripts) await load(inside.document, script);
        };
        inside.postMessage = (data) =>
          this.dispatchEvent(new MessageEvent("message", { data }));
        load(inside.document, url).then(() => resolve(inside));
      });
    }

    async postMessage(data) {
      const inside = await this.inside;
      inside.dispatchEvent(new MessageEvent("message", { data }));
    }

    terminate() {}
  };

  function load(page, url) {
    return new Promise((resolve, reject) => {
      const script = page.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = reject;
      page.head.append(script);
    });
  }
}
