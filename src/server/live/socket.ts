export const SUBPROTOCOL = 'untildone.v1'
