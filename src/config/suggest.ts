const distance = (left: string, right: string): number => {
	let row = Array.from({ length: right.length + 1 }, (_, at) => at);
	for (let i = 1; i <= left.length; i++) {
		const next = [i];
		for (let j = 1; j <= right.length; j++) {
			const change = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
			next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
		}
		row = next;
	}
	return row[right.length] ?? 0;
};

const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** `; did you mean "…"?` for the known name nearest to a mistyped one, or nothing when none is near. */
export const didYouMean = (typed: string, known: readonly string[]): string => {
	const wanted = plain(typed);
	if (wanted.length > 100) return '';
	let best: { name: string; score: number } | undefined;
	for (const name of known) {
		const last = plain(name.slice(name.lastIndexOf('.') + 1));
		const score = Math.min(distance(wanted, plain(name)), last === wanted ? 1 : Number.POSITIVE_INFINITY);
		if (score < (best?.score ?? Number.POSITIVE_INFINITY)) best = { name, score };
	}
	return best && best.score <= Math.max(2, Math.floor(wanted.length / 4)) ? `; did you mean "${best.name}"?` : '';
};
