/** A token of spotctl: its kind, then base64url. The ten characters that lists show of one are too short to count. */
const TOKEN = /(?<![A-Za-z0-9])(sp[ta]_)[A-Za-z0-9_-]{16,}/g;

/** The text with every token of spotctl cut to its kind (`spt_***`), for whatever echoes or logs what somebody sent. */
export const maskTokens = (text: string): string => text.replace(TOKEN, '$1***');
