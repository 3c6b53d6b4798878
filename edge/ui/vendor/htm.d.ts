declare const htm: { bind<T>(h: (...args: never[]) => T): (strings: TemplateStringsArray, ...values: unknown[]) => T };
export default htm;
