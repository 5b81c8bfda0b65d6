// Shows /api/openapi.json. Nothing is fetched from anywhere else.
const said = document.getElementById("said");

function failed(why) {
  said.className = "failed";
  said.textContent =
    `接口文档读取失败（${why}），请确认服务已启动后刷新。` +
    ` The API document could not be read (${why}); check that the server runs and reload.`;
}

function show(spec) {
  said.hidden = true;
  SwaggerUIBundle({
    spec,
    domNode: document.getElementById("docs"),
    docExpansion: "none",
    filter: true,
    tryItOutEnabled: true,
    persistAuthorization: true,
    validatorUrl: null,
  });
}

fetch("/api/openapi.json")
  .then((answer) => {
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  })
  .then(show)
  .catch((error) => failed(error.message));
