export const buildStamp: (folder: string) => string;
export const build: (folder: string) => Promise<void>;
export const prepare: () => Promise<void>;
