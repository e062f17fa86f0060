/** The formats of `-o`. */
export const FORMATS = ['table', 'wide', 'json', 'jsonl', 'yaml', 'csv'] as const;
export type Format = (typeof FORMATS)[number];
