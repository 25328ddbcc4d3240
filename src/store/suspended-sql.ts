/**
 * SQL condition: nothing of this tenant is sent, because it is suspended as a whole.
 *
 * @param tenantId - An SQL expression, such as `messages.tenant_id`.
 */
export const tenantIsSuspended = (tenantId: string): string =>
  `EXISTS (SELECT 1 FROM suspensions WHERE suspensions.tenant_id = ${tenantId} AND suspensions.batch_code = ''
     AND suspensions.released_at IS NULL)`;

/**
 * SQL condition: this very batch is suspended, compared letter by letter. A message without a batch never is.
 *
 * @param tenantId - An SQL expression, as is `batchCode`.
 */
export const batchIsSuspended = (tenantId: string, batchCode: string): string =>
  `EXISTS (SELECT 1 FROM suspensions WHERE suspensions.tenant_id = ${tenantId}
     AND suspensions.batch_code = ${batchCode} AND suspensions.batch_code <> '' AND suspensions.released_at IS NULL)`;
