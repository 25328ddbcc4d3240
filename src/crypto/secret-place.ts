import {
  auditKeyAdditionalData,
  type CallbackBinding,
  callbackAdditionalData,
  type PasswordBinding,
  passwordAdditionalData,
  webhookSecretAdditionalData,
} from './binding.js';

/** Where a secret is stored, with all that its ciphertext is bound to. */
export type SecretPlace =
  | { kind: 'account-password'; tenantId: string; accountId: string; binding: PasswordBinding }
  | { kind: 'callback-credential'; tenantId: string; binding: CallbackBinding }
  | { kind: 'webhook-secret'; tenantId: string }
  | { kind: 'audit-key'; chain: number };

/** The additional data of a secret in this place. */
export function additionalDataOf(place: SecretPlace): string {
  switch (place.kind) {
    case 'account-password':
      return passwordAdditionalData(place.tenantId, place.accountId, place.binding);
    case 'callback-credential':
      return callbackAdditionalData(place.tenantId, place.binding);
    case 'webhook-secret':
      return webhookSecretAdditionalData(place.tenantId);
    case 'audit-key':
      return auditKeyAdditionalData(place.chain);
  }
}

/** A place in words, for messages: what it is and whose. */
export function describePlace(place: SecretPlace): string {
  switch (place.kind) {
    case 'account-password':
      return `the password of account "${place.accountId}" of tenant "${place.tenantId}"`;
    case 'callback-credential':
      return `the callback credential of tenant "${place.tenantId}"`;
    case 'webhook-secret':
      return `the webhook secret of tenant "${place.tenantId}"`;
    case 'audit-key':
      return `the key of audit chain ${place.chain}`;
  }
}
