/** Facades: older APIs, kept for their clients by configuration. */
export type {
  Facade,
  FacadeAnswer,
  FacadeRoute,
  StatusMap,
  Template,
  VocabularyName,
} from './facade.js'
export { facadeRoutes } from './table.js'
