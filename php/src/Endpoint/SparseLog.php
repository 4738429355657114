<?php

declare(strict_types=1);

namespace Sse\Endpoint;

use Sse\Polyfill\Folder;
use Sse\Polyfill\Settings;
use SseException;

/**
 * Lines of PHP's log that anybody's requests bring about: one a minute of each kind, from all processes of this user together.
 *
 * @internal
 */
final class SparseLog
{
    /** Seconds between two lines of one kind. */
    private const PAUSE = 60;

    /** @param string $kind Letters: it is part of a file's name. */
    public static function tell(string $kind, string $line): void
    {
        // Of each hub, as several sites may run as one user.
        $hub = hash('crc32b', (string) ini_get('sse.socket') . "\n" . (string) ini_get('sse.namespace'));
        try {
            $file = (new Folder(new Settings()))->open("told-$kind-$hub");
        } catch (SseException) {
            // Nothing would limit the lines then. `sse health` tells the same to whoever looks for the reason.
            return;
        }
        if (flock($file, LOCK_EX | LOCK_NB)) {
            $now = time();
            $last = (int) stream_get_contents($file);
            if ($last <= $now - self::PAUSE || $last > $now) {
                ftruncate($file, 0);
                rewind($file);
                fwrite($file, (string) $now);
                error_log($line);
            }
        }
        fclose($file);
    }
}
