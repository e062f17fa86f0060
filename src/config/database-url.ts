import { isIPv6 } from 'node:net';
import { isAbsolute } from 'node:path';

/** The pieces of a MySQL address as the seed's DB_* variables give them; user, password and name are plain text, not encoded. */
export type MysqlParts = {
	readonly host: string;
	readonly port: number;
	readonly user: string;
	readonly password: string;
	readonly name: string;
};

/** A `mysql://` URL of plain parts, every reserved character percent-encoded. */
export const mysqlUrl = ({ host, port, user, password, name }: MysqlParts): string => {
	const secret = password === '' ? '' : `:${encodeURIComponent(password)}`;
	return `mysql://${encodeURIComponent(user)}${secret}@${isIPv6(host) ? `[${host}]` : host}:${port}/${encodeURIComponent(name)}`;
};

const decodes = (text: string): boolean => {
	try {
		decodeURIComponent(text);
		return true;
	} catch {
		return false;
	}
};

/** What connections speak anyway, so that saying so is right. */
const CHARSETS: ReadonlySet<string> = new Set(['utf8mb4']);

const mysqlProblem = (url: URL): string | undefined => {
	if (url.hostname === '') return 'must name a host: mysql://user:password@host:port/name';
	if (!/^\/[^/]+$/.test(url.pathname)) return 'must end in one database name: mysql://user:password@host:port/name';
	if (!decodes(url.username) || !decodes(url.password) || !decodes(url.pathname)) return 'must write a % in user, password or name as %25';
	if (url.hash !== '') return 'must write a # in the password as %23';
	// What is not carried out must not look as if it were: a connection that was asked to be encrypted, above all.
	const [other, value] = [...url.searchParams].find(([name, value]) => name !== 'charset' || !CHARSETS.has(value.toLowerCase())) ?? [];
	if (other === undefined) return undefined;
	if (other === 'charset') return 'must not ask for another charset than utf8mb4, which is used always';
	// What has no value, or stands before an @, may be part of a password that was not escaped.
	const isName = /^[\w-]{1,40}$/.test(other) && value !== '' && !url.search.includes('@');
	const name = isName ? `"${other}" after the name` : 'what stands after the name';
	return `must not have options: ${name} would have no effect (for TLS, put a proxy such as stunnel or ProxySQL on this machine before it)`;
};

/**
 * A database URL in the one form the program uses: `sqlite:/absolute/path` or `mysql://user:password@host:port/name`.
 * Answers `{ url }`, or `{ problem }` as the end of a sentence; the problem never repeats the text.
 */
export const readDatabaseUrl = (text: string): { readonly url: string } | { readonly problem: string } => {
	if (text.startsWith('sqlite:')) {
		const path = text.slice('sqlite:'.length).replace(/^\/\/(?=\/)/, '');
		if (path.includes(':memory:')) return { problem: 'must be a file: a database in memory is lost at exit' };
		return isAbsolute(path) && !path.startsWith('//') && !path.endsWith('/') && !path.includes('\0')
			? { url: `sqlite:${path}` }
			: { problem: 'must name a file: sqlite:/path/file.db' };
	}
	if (!text.startsWith('mysql://') || !URL.canParse(text))
		return { problem: 'must be sqlite:/path/file.db or mysql://user:password@host:port/name' };
	const url = new URL(text);
	const problem = mysqlProblem(url);
	return problem === undefined ? { url: url.href } : { problem };
};
