/** For `using`, where the runtime has it. */
export declare function disposable(what: object, dispose: () => void): void;
