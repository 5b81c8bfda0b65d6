// The front door: asks /readyz how the program is, shows it, and asks again while being looked at.

const ASK_EVERY_MS = 10_000;
const GIVE_UP_AFTER_MS = 5_000;
const COPIED_FOR_MS = 2_000;
const LANGUAGES = { "zh-Hans": "会员运营中心", en: "Membership operations centre" };
const WORDS = {
  ok: { "zh-Hans": "正常", en: "fine" },
  "not migrated": { "zh-Hans": "尚未迁移", en: "not migrated" },
  unreachable: { "zh-Hans": "连不上", en: "unreachable" },
};

const health = document.getElementById("health");
const copy = document.getElementById("copy");
const curl = document.getElementById("curl");
let asking = null;
let next = null;

/** Ask once; a second call while one is under way changes nothing. */
function ask() {
  clearTimeout(next);
  asking ??= readiness()
    .then(show)
    .finally(() => {
      asking = null;
      next = setTimeout(() => document.hidden || ask(), ASK_EVERY_MS);
    });
}

/** What /readyz says, whatever its status; null if nothing sensible answers. */
async function readiness() {
  try {
    const signal = AbortSignal.timeout(GIVE_UP_AFTER_MS);
    const answer = await (await fetch("/readyz", { cache: "no-store", signal })).json();
    return answer && typeof answer.status === "string" ? answer : null;
  } catch {
    return null;
  }
}

function show(answer) {
  health.dataset.state = stateOf(answer);
  for (const fact of health.querySelectorAll("[data-fact]")) {
    fact.replaceChildren(...inBothLanguages(answer?.[fact.dataset.fact]));
  }
  document.getElementById("demo").hidden = answer?.sandbox !== true;
}

function stateOf(answer) {
  if (answer === null) return "unreachable";
  if (answer.status !== "ok" || answer.database !== "ok") return "degraded";
  return answer.redis === "ok" ? "ready" : "slowed";
}

/** A known word in Chinese and English; any other text as it is. */
function inBothLanguages(value) {
  const words = Object.hasOwn(WORDS, value) ? WORDS[value] : null;
  if (!words) return [String(value ?? "—")];
  return Object.entries(words).map(([language, text]) => {
    const span = document.createElement("span");
    span.lang = language;
    span.textContent = text;
    return span;
  });
}

function speak(language) {
  document.documentElement.lang = language;
  document.title = LANGUAGES[language];
}

function switchLanguage() {
  speak(document.documentElement.lang === "en" ? "zh-Hans" : "en");
  remember(document.documentElement.lang);
}

/** Storage may be forbidden; then the choice lasts as long as the page. */
function remember(language) {
  try {
    localStorage.setItem("home.language", language);
  } catch {
    // Nothing is lost but the memory of it.
  }
}

function remembered() {
  try {
    return localStorage.getItem("home.language");
  } catch {
    return null;
  }
}

/** Copy the example; where the clipboard is closed (plain http), select it for the reader. */
async function copyExample() {
  try {
    await navigator.clipboard.writeText(curl.textContent);
    copy.dataset.state = "copied";
  } catch {
    getSelection().selectAllChildren(curl);
    copy.dataset.state = "selected";
  }
  setTimeout(() => (copy.dataset.state = "idle"), COPIED_FOR_MS);
}

curl.textContent = [
  `curl -X POST ${location.origin}/api/v1/auth/wechat \\`,
  `  -H 'Content-Type: application/json' \\`,
  `  -d '{"code": "sandbox-xiaolin"}'`,
].join("\n");
speak(remembered() === "en" ? "en" : "zh-Hans");
document.getElementById("language").addEventListener("click", switchLanguage);
document.getElementById("again").addEventListener("click", ask);
copy.addEventListener("click", copyExample);
document.addEventListener("visibilitychange", () => document.hidden || ask());
ask();
