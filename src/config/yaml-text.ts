import { isMap, isScalar, LineCounter, parseDocument } from 'yaml';

/** A parsed file: plain data, and the line (from 1) a key stands on, when it can be told. */
export type ParsedText = { readonly data: unknown; lineOf(keys: readonly string[]): number | undefined };

/** A text that is not valid YAML or JSON; `problems` are sentences with line and column that never quote the text. */
export type UnreadableText = { readonly problems: readonly string[] };

const MOST_ALIASES = 100;

// The parser's messages may quote what it stumbled over, which may be a secret.
const withoutQuotes = (message: string): string =>
	(message.split(/["\n]|: /, 1)[0] ?? '').trim().replace(/^Missing closing$/, 'Missing closing quote');

/** Parses YAML 1.2, or strict JSON, without executable tags, a bounded number of aliases and no repeated keys. */
export const parseText = (content: string, format: 'yaml' | 'json'): ParsedText | UnreadableText => {
	const name = format === 'json' ? 'JSON' : 'YAML';
	if (/[\0\uFFFD]/.test(content)) return { problems: ['is not a text file in UTF-8'] };
	const lines = new LineCounter();
	const at = (offset: number) => {
		const { line, col } = lines.linePos(offset);
		return `line ${line}, column ${col}`;
	};
	try {
		const schema = format === 'json' ? 'json' : 'core';
		const document = parseDocument(content, { lineCounter: lines, prettyErrors: false, schema, merge: false, logLevel: 'error' });
		const faults = [...document.errors, ...document.warnings];
		if (faults.length > 0)
			return { problems: faults.slice(0, 5).map((e) => `is not valid ${name} at ${at(e.pos[0])}: ${withoutQuotes(e.message)}`) };
		const data: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
		const lineOf = (keys: readonly string[]) => {
			let node: unknown = document.contents;
			let line: number | undefined;
			for (const key of keys) {
				const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === key) : undefined;
				if (!isScalar(pair?.key) || !pair.key.range) return undefined;
				line = lines.linePos(pair.key.range[0]).line;
				node = pair.value;
			}
			return line;
		};
		return { data, lineOf };
	} catch (error) {
		if (error instanceof ReferenceError) return { problems: [`is not valid ${name}: too many or unresolved aliases`] };
		if (error instanceof RangeError) return { problems: [`is not valid ${name}: nested too deeply`] };
		throw error;
	}
};
