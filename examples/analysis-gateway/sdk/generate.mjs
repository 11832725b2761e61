// `node examples/analysis-gateway/sdk/generate.mjs`: api.generated.ts anew, from the OpenAPI document that the gateway
// serves. A test does the same and compares.
import { writeFileSync } from 'node:fs'
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { servedTypes } = await jiti.import('./types-of.ts')
writeFileSync(new URL('api.generated.ts', import.meta.url), await servedTypes())
