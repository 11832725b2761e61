/** Version of this package. */
export { ownVersion as packageVersion } from '../server/version.js'
