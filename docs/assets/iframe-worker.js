// Browsers refuse web workers in a page that is opened from a disk, and the search is one. There it runs in a hidden frame.
// The theme would fetch such a script from another host: mkdocs.yml names this one in its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc =
        `<script>postMessage = (message) => parent.postMessage(message, "*")</script><script src="${address}"></script>`;
      this.ready = new Promise((done) => this.frame.addEventListener("load", done));
      window.addEventListener("message", (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const reply = new MessageEvent("message", { data: event.data });
        if (this.onmessage) this.onmessage(reply);
        this.dispatchEvent(reply);
      });
      document.body.append(this.frame);
    }

    postMessage(message) {
      this.ready.then(() =>
        this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data: message })),
      );
    }

    terminate() {
      this.frame.remove();
    }
  };
}
