// `npm run demo:scale`: the example gateway in many processes, from a fresh clone as well as from a built one.
import { launch } from './launch.mjs'

await launch('examples/analysis-gateway/demo-scale.mjs', process.argv.slice(2))
