// `npm run demo:scale`: the gateway in seven processes under load, while a worker, PostgreSQL and an API are killed. Exit
// code 0: nothing was lost and nothing done twice. 1: something was. 2: PostgreSQL is not installed. `--short` takes 15 s.
import { createJiti } from 'jiti'

const jiti = createJiti(import.meta.url, { fsCache: false })
const { scale } = await jiti.import('./demo/scale/scale.ts')
process.exitCode = await scale(process.argv.slice(2))
