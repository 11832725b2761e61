// `npm run demo`: the document conversion example, from a fresh clone as well as from a built one.
import { launch } from './launch.mjs'

await launch('examples/document-conversion/demo.mjs', process.argv.slice(2))
