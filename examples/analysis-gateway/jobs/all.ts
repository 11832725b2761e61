// What `untildone dev --jobs` and `untildone serve --jobs` find, with a model if the environment names one.
import { modelFrom, summariser } from '../lib/model.js'
import { analysisHandler } from './analysis.js'

const model = modelFrom(process.env)

export const analysis = analysisHandler({ model: model && summariser(model) })
