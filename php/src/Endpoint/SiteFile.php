<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use LogicException;

/**
 * A file of the site's own that returns an object: its settings, and often its keys.
 *
 * Nothing that the file outputs is ever sent. Without `<?php` at its beginning, PHP would output the whole file.
 *
 * @internal
 */
final class SiteFile
{
    /**
     * Runs the file, and returns what it returns.
     *
     * @template T of object
     *
     * @param class-string<T> $class What it has to return.
     *
     * @return T
     *
     * @throws LogicException It returns something else; the message has nothing of what is in the file.
     */
    public static function load(string $file, string $class): object
    {
        $level = ob_get_level();
        // The callback is for a file that ends the request by itself. Without the flag for flushing, nothing goes out before.
        ob_start(static fn (): string => '', 0, PHP_OUTPUT_HANDLER_CLEANABLE | PHP_OUTPUT_HANDLER_REMOVABLE);
        try {
            $value = (static fn (): mixed => require $file)();
        } finally {
            for ($open = ob_get_level(); $open > $level && ob_end_clean(); $open--) {
                continue;
            }
        }

        return $value instanceof $class
            ? $value
            : throw new LogicException("$file has to return an $class; does it begin with '<?php'?");
    }
}
