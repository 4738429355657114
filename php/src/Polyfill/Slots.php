<?php

declare(strict_types=1);

namespace Sse\Polyfill;

use SseUnavailable;

/**
 * Which streams hold a worker now: each holds a lock of a file, which the system releases when the worker ends, however
 * it ends.
 */
final class Slots
{
    /** Seconds between two messages that all places are taken. */
    private const SILENCE = 3600;
    /** ::ffff:0:0/96 */
    private const MAPPED = "\0\0\0\0\0\0\0\0\0\0\xFF\xFF";

    /**
     * @var resource|null
     *
     * @mago-expect analysis:missing-property-type - PHP has none for resources.
     */
    private $own = null;
    /** The place that this stream has, if it has one. */
    private int $place = 0;
    private readonly Workers $workers;

    public function __construct(private readonly Folder $folder, private readonly Settings $settings)
    {
        $this->workers = new Workers($settings);
    }

    /** Whether one more stream may hold a worker; it does until release(). */
    public function take(string $address): bool
    {
        $client = self::network($address);
        $most = $this->workers->mostStreams();
        $mostOfOne = $this->settings->number('polyfill_streams_per_ip');

        $take = function () use ($client, $most, $mostOfOne): bool {
            $free = null;
            $same = 0;
            $place = 0;
            for ($i = 0; $i < $most; $i++) {
                $slot = $this->folder->open("stream-$i.lock");
                if (!flock($slot, LOCK_EX | LOCK_NB)) {
                    $same += stream_get_contents($slot) === $client ? 1 : 0;
                } elseif ($free === null) {
                    $free = $slot;
                    $place = $i;
                }
            }
            if ($free === null) {
                $this->tellThatAllAreTaken($most);

                return false;
            }
            if ($mostOfOne > 0 && $same >= $mostOfOne) {
                return false;
            }
            ftruncate($free, 0);
            fwrite($free, $client);
            fflush($free);
            $this->own = $free;
            $this->place = $place;

            return true;
        };
        try {
            return $this->folder->locked('streams', $take);
        } catch (SseUnavailable $problem) {
            // The response has begun: the client gets what there is, and comes back.
            error_log("php-sse: a stream ends at once: {$problem->getMessage()}");

            return false;
        }
    }

    /** Whether the stream may go on: there may be fewer workers than seemed when it began. */
    public function mayGoOn(): bool
    {
        return $this->own === null || $this->place < $this->workers->mostStreams();
    }

    /** Says in PHP's log why streams end at once, once in a while. */
    private function tellThatAllAreTaken(int $most): void
    {
        $file = $this->folder->open('told');
        $now = time();
        $last = (int) stream_get_contents($file);
        if ($last <= $now - self::SILENCE || $last > $now) {
            ftruncate($file, 0);
            rewind($file);
            fwrite($file, (string) $now);
            error_log(
                "php-sse: without the extension each stream holds a PHP worker, and $most may (sse.polyfill_streams); "
                . 'further ones end at once, and their clients ask once a second. Where there are more workers, raise it to '
                . 'half of pm.max_children at most (PHP_CLI_SERVER_WORKERS for php -S)',
            );
        }
        fclose($file);
    }

    public function release(): void
    {
        if ($this->own !== null) {
            fclose($this->own);
            $this->own = null;
        }
    }

    public function count(): int
    {
        return $this->folder->locked('streams', function (): int {
            $count = 0;
            // All that there ever were: a program on the command line does not know how many workers the server has.
            for ($i = 0; is_file($this->folder->file("stream-$i.lock")); $i++) {
                $slot = $this->folder->open("stream-$i.lock");
                $count += flock($slot, LOCK_EX | LOCK_NB) ? 0 : 1;
                fclose($slot);
            }

            return $count;
        });
    }

    /** An address, or of IPv6 its /64, which is one client's. */
    private static function network(string $address): string
    {
        $bytes = @inet_pton($address);
        if ($bytes === false) {
            $bytes = $address;
        } elseif (str_starts_with($bytes, self::MAPPED)) {
            // An IPv4 address at a socket of IPv6: all of these are in one /64.
            $bytes = substr($bytes, strlen(self::MAPPED));
        }

        return bin2hex(substr($bytes, 0, 8));
    }
}
