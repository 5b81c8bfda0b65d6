// Puts the docs page and the parts of Swagger UI that it needs into static/dist/docs.
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = new URL(".", import.meta.url);
const built = new URL("../dist/docs/", here);
const parts = [
  "index.html",
  "docs.css",
  "docs.js",
  "node_modules/swagger-ui-dist/swagger-ui.css",
  "node_modules/swagger-ui-dist/swagger-ui-bundle.js",
  "node_modules/swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt",
  "node_modules/swagger-ui-dist/LICENSE", // its licence asks that both travel with it
  "node_modules/swagger-ui-dist/NOTICE",
];

await mkdir(built, { recursive: true });
for (const part of parts) {
  const name = part.split("/").at(-1);
  await copyFile(fileURLToPath(new URL(part, here)), fileURLToPath(new URL(name, built)));
}
