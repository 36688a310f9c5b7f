// Passkeys: forms marked data-passkey appear where the browser can use them. Without this file
// every page still has its other ways.

const can = "PublicKeyCredential" in window && Boolean(navigator.credentials);
const WORDS = {
  NotAllowedError: "That was cancelled or took too long. Try again.",
  InvalidStateError: "This device keeps a passkey for your account already.",
  NotSupportedError: "This device can't keep a passkey of the kind we ask for. Try another.",
  ConstraintError: "This device can't check that it's you. Set up a screen lock on it, or try another.",
  SecurityError: "Passkeys don't work at this address. Open the shop by its own name.",
  TypeError: "We could not be reached. Check your connection and try again.",
};
let waiting;

const toBytes = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));

function toText(buffer) {
  let letters = "";
  for (const byte of new Uint8Array(buffer)) letters += String.fromCharCode(byte);
  return btoa(letters).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

const named = (list = []) => list.map((known) => ({ ...known, id: toBytes(known.id) }));

const forNew = (options) => ({
  ...options,
  challenge: toBytes(options.challenge),
  user: { ...options.user, id: toBytes(options.user.id) },
  excludeCredentials: named(options.excludeCredentials),
});

const forKnown = (options) => ({
  ...options,
  challenge: toBytes(options.challenge),
  allowCredentials: named(options.allowCredentials),
});

function asJson(credential) {
  const { response } = credential;
  const parts = { clientDataJSON: toText(response.clientDataJSON) };
  for (const name of ["attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) parts[name] = toText(response[name]);
  }
  if (response.getTransports) parts.transports = response.getTransports();
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: {},
    response: parts,
  };
}

class Refused extends Error {}

// A redirect means that something else comes first, like showing a credential again: go there.
async function ask(form, url, body, signal) {
  const answer = await fetch(url, {
    method: "POST",
    headers: {
      "Accept": "application/json",
      "Content-Type": "application/json",
      "X-CSRFToken": form.elements.csrf_token.value,
    },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.redirected) {
    location.assign(answer.url);
    return new Promise(() => {});
  }
  const said = await answer.json().catch(() => null);
  if (answer.ok && said) return said;
  throw new Refused(said?.error?.message ?? "Something went wrong. Reload the page and try again.");
}

function tell(form, error) {
  form.removeAttribute("aria-busy");
  const place = form.querySelector("[data-passkey-error]");
  const words = error instanceof Refused ? error.message : WORDS[error?.name];
  place.textContent = words ?? "The passkey could not be used. Try again, or choose another way.";
  place.hidden = false;
}

// Filled in just before it is sent: it may be written beside another form.
const remembers = () => Boolean(document.querySelector('input[name="remember"]')?.checked);

async function login(form, mediation) {
  const { options, verify, next, secondStep } = form.dataset;
  const sent = { second_step: secondStep === "true" };
  // Its own from the start: whatever begins while we ask ends this one, and has a signal itself.
  const { signal } = waiting;
  const publicKey = forKnown(await ask(form, options, sent, signal));
  const credential = await navigator.credentials.get({ publicKey, signal, ...mediation });
  form.setAttribute("aria-busy", "true");
  const told = await ask(form, verify, {
    ...sent,
    credential: asJson(credential),
    next,
    remember: remembers(),
  });
  location.assign(told.next);
}

async function add(form) {
  const publicKey = forNew(await ask(form, form.dataset.options, {}));
  const credential = await navigator.credentials.create({ publicKey, signal: waiting.signal });
  form.elements.credential.value = JSON.stringify(asJson(credential));
  form.submit();
}

// One question at a time: a new one ends the one that waits in the field's suggestions.
function begin() {
  waiting?.abort();
  waiting = new AbortController();
}

async function offerInField(form) {
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  begin();
  const own = waiting;
  try {
    await login(form, { mediation: "conditional" });
  } catch (error) {
    if (!own.signal.aborted && error instanceof Refused) tell(form, error);
  }
}

if (can) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      if (form.getAttribute("aria-busy") === "true") return;
      begin();
      form.setAttribute("aria-busy", "true");
      form.querySelector("[data-passkey-error]").hidden = true;
      try {
        await (form.dataset.passkey === "add" ? add(form) : login(form, {}));
      } catch (error) {
        tell(form, error);
      }
    });
    if (form.dataset.conditional === "true") offerInField(form);
  }
  for (const place of document.querySelectorAll("[data-without-passkeys]")) place.hidden = true;
}
