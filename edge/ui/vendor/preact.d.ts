// What we use of Preact, typed loosely: the pages are checked against our own structs, not against JSX.
export type ComponentChild = unknown;
export interface VNode { type: unknown; props: Record<string, unknown>; key: unknown }
export function h(type: unknown, props?: unknown, ...children: unknown[]): VNode;
export function render(node: unknown, parent: Element): void;
export const Fragment: unique symbol;
