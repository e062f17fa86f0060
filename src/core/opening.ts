import { maskUrl } from '../config/show.ts';
import { SpotError } from '../errors.ts';
import { asUnavailable, type Store } from '../store/open.ts';
import { sqliteFile } from '../store/sqlite.ts';

type Said = { readonly code: string; readonly message: string; readonly hint: string };

const WHERE = 'spotctl config show --origin';

const namesOf = (url: string): { readonly user: string; readonly database: string; readonly shell: string } => {
	const { hostname, port, username, pathname } = new URL(url);
	const user = decodeURIComponent(username) || 'root';
	return {
		user,
		database: decodeURIComponent(pathname.slice(1)),
		shell: `mysql -h ${hostname.replace(/^\[|\]$/g, '')} -P ${port === '' ? 3306 : port} -u ${user} -p`,
	};
};

const said = (store: Store, url: string, error: unknown): Said | null => {
	const refusal = store.dialect.refusalOf(error);
	if (refusal === null) return null;
	if (refusal === 'locked') {
		const file = sqliteFile(url);
		return {
			code: 'DATABASE_UNAVAILABLE',
			message: `another process has locked the database file "${file}"`,
			hint: `see who has it open, end that, then try again: fuser -v "${file}"`,
		};
	}
	const { user, database, shell } = namesOf(url);
	switch (refusal) {
		case 'login':
			return {
				code: 'DATABASE_LOGIN_REFUSED',
				message: `the database refuses the user "${user}" or the password: ${maskUrl(url)}`,
				hint: `try them: ${shell}; where they come from: ${WHERE}`,
			};
		case 'access':
			return {
				code: 'DATABASE_ACCESS_REFUSED',
				message: `the user "${user}" may not do this in the database "${database}": ${maskUrl(url)}`,
				hint: `as the administrator of the database: grant all privileges on \`${database}\`.* to '${user}'@'%'`,
			};
		case 'no database':
			return {
				code: 'DATABASE_MISSING',
				message: `there is no database "${database}": ${maskUrl(url)}`,
				hint: `create it: ${shell} -e 'create database \`${database}\`'; or correct the name: ${WHERE}`,
			};
	}
};

/**
 * An error of the first statements on a database, with the database it is about and what to type next, for whoever configures it; never
 * for the wire (D-49). Errors of other kinds are returned as they are.
 */
export const atOpening = (store: Store, url: string, error: unknown): unknown => {
	const found = asUnavailable(store.dialect, error);
	const cause = found instanceof SpotError ? (found.cause ?? found) : found;
	if (found instanceof SpotError && found.code !== 'DATABASE_UNAVAILABLE') return found;
	const known = said(store, url, cause);
	if (known !== null) {
		const kind = known.code === 'DATABASE_MISSING' ? 'missing' : 'unavailable';
		return new SpotError(kind, known.code, known.message, { hint: known.hint, cause });
	}
	if (!(found instanceof SpotError)) return found;
	if (store.dialect.name === 'sqlite') {
		return new SpotError('unavailable', found.code, `the database file cannot be read or written: ${url}`, {
			hint: 'is the disk full, or the file or its folder read-only? look at it: spotctl db check',
			cause,
		});
	}
	return new SpotError('unavailable', found.code, `the database does not answer: ${maskUrl(url)}`, {
		hint: `does it run? the URL comes from: ${WHERE}`,
		cause,
	});
};
