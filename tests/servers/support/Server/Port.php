<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use RuntimeException;

/** Free ports on loopback, below the range that the system takes for outgoing connections. */
final class Port
{
    /** @param 'tcp'|'udp' $protocol */
    public static function free(string $protocol = 'tcp'): int
    {
        $flags = $protocol === 'udp' ? STREAM_SERVER_BIND : STREAM_SERVER_BIND | STREAM_SERVER_LISTEN;
        for ($try = 0; $try < 100; $try++) {
            $port = random_int(10_000, 30_000);
            $socket = @stream_socket_server("$protocol://127.0.0.1:$port", $code, $message, $flags);
            if ($socket !== false) {
                fclose($socket);

                return $port;
            }
        }

        throw new RuntimeException("no free $protocol port on loopback");
    }

    public static function answers(int $port): bool
    {
        return self::connects("tcp://127.0.0.1:$port");
    }

    /** Whether a Unix socket takes connections from everybody: its file is there before it listens, and before all may use it. */
    public static function isOpenToAll(string $path): bool
    {
        clearstatcache(true, $path);

        return file_exists($path) && (fileperms($path) & 0777) === 0777 && self::connects("unix://$path");
    }

    private static function connects(string $address): bool
    {
        $socket = @stream_socket_client($address, $code, $message, 1.0);
        if ($socket === false) {
            return false;
        }
        fclose($socket);

        return true;
    }
}
