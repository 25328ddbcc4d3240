/** A call that acknowledges nothing. Its message names no secret, no URL, and nothing that the endpoint said. */
export class CallFailed extends Error {
  override readonly name = 'CallFailed';
}
