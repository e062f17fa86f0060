/** A sample of a metric: its number, its labels, and what a histogram puts behind the name (`_bucket`, `_sum`, `_count`). */
export type Sample = { readonly value: number; readonly labels: Readonly<Record<string, string>>; readonly suffix?: string };

/** How often something took how long, as Prometheus counts it: `bounds` are the upper bounds of the buckets in seconds, ascending. */
export type Histogram = {
	observe(seconds: number): void;
	/** Cumulative buckets, sum and count under these labels. */
	samples(labels: Readonly<Record<string, string>>): Sample[];
};

export const createHistogram = (bounds: readonly number[]): Histogram => {
	const buckets = new Float64Array(bounds.length + 1);
	let sum = 0;
	return {
		observe: (seconds) => {
			let at = 0;
			while (at < bounds.length && seconds > (bounds[at] ?? 0)) at++;
			buckets[at] = (buckets[at] ?? 0) + 1;
			sum += seconds;
		},
		samples: (labels) => {
			let count = 0;
			const lines = Array.from(buckets, (inBucket, at): Sample => {
				count += inBucket;
				return { value: count, labels: { ...labels, le: at < bounds.length ? String(bounds[at]) : '+Inf' }, suffix: '_bucket' };
			});
			return [...lines, { value: sum, labels, suffix: '_sum' }, { value: count, labels, suffix: '_count' }];
		},
	};
};
