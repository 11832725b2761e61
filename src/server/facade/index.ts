/** Facades: older APIs, kept for their clients by configuration. */
export { bySpecificity } from './addresses.js'
export type { Facade, FacadeAnswer, FacadeRoute } from './facade.js'
export { facadeRoutes } from './table.js'
