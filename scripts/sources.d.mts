export declare const RECORD: string;
export declare function hashSources(root: string): Record<string, string>;
export declare function changedSources(root: string): string[] | undefined;
