<?php

declare(strict_types=1);

namespace Sse\Doctor;

/**
 * The settings of this process, where they came from, and what the hub uses of its own: it has read them when it started, from
 * the php.ini of whoever started it.
 */
final class Settings
{
    private const UNITS = ['' => 1, 'K' => 1 << 10, 'M' => 1 << 20, 'G' => 1 << 30];

    /**
     * @param array<string, string|int|bool|null> $ofHub What sse_stats() has under `settings`; empty: no hub to compare with.
     *
     * @return list<array{name: string, value: string, from: string, hub: string|int|bool|null, differs: bool}> `hub` is null where
     *   the process that calls reads the setting, or the hub has no use for it.
     */
    public static function all(array $ofHub): array
    {
        $rows = [];
        $files = self::files();
        /** @var array<string, mixed> $all */
        $all = ini_get_all('sse', true) ?: [];
        foreach ($all as $name => $entry) {
            $entry = is_array($entry) ? $entry : [];
            $value = is_string($entry['local_value'] ?? null) ? $entry['local_value'] : '';
            $hub = $ofHub[substr($name, 4)] ?? null;
            $rows[] = [
                'name' => $name,
                'value' => self::shown($name, $value),
                'from' => self::from($name, $entry, $files),
                'hub' => $hub,
                'differs' => $hub !== null && self::differs($name, $value, $hub),
            ];
        }

        return $rows;
    }

    /** A value without what nobody is to see. */
    private static function shown(string $name, string $value): string
    {
        return match ($name) {
            'sse.udp_key' => $value === '' ? '' : '…',
            'sse.bus' => (string) preg_replace(['~://[^/?]*@~', '~pass=[^&]*~'], ['://***@', 'pass=***'], $value),
            default => $value,
        };
    }

    /**
     * @param array<array-key, mixed> $entry
     * @param array<string, string>   $files
     */
    private static function from(string $name, array $entry, array $files): string
    {
        if (($entry['local_value'] ?? null) !== ($entry['global_value'] ?? null)) {
            return 'this request (ini_set(), a pool, .user.ini or the web server)';
        }
        if (get_cfg_var($name) === false) {
            return 'default';
        }

        return $files[$name] ?? 'the command line (-d), a pool or the environment';
    }

    /** @return array<string, string> By setting, the last file that has it, which counts. */
    private static function files(): array
    {
        $scanned = php_ini_scanned_files();
        $files = [php_ini_loaded_file(), ...($scanned === false ? [] : explode(',', $scanned))];
        $found = [];
        foreach ($files as $file) {
            $file = trim((string) $file);
            $lines = $file === '' || !is_readable($file) ? [] : (file($file) ?: []);
            foreach ($lines as $number => $line) {
                $name = trim(explode('=', $line, 2)[0]);
                if (str_starts_with($name, 'sse.')) {
                    $found[$name] = "$file:" . ($number + 1);
                }
            }
        }

        return $found;
    }

    private static function differs(string $name, string $value, string|int|bool $hub): bool
    {
        return match ($name) {
            // Empty: where it is by default, which depends on who asks.
            'sse.socket' => false,
            'sse.log' => $value !== '' && $value !== $hub,
            'sse.socket_group', 'sse.http_group' => $value !== '' && self::group($value) !== $hub,
            'sse.socket_mode' => octdec($value) !== octdec((string) $hub),
            'sse.udp_key' => ($value !== '') !== ($hub !== ''),
            'sse.bus' => self::bus($value) !== $hub && !str_contains($value, 'unix:'),
            'sse.history' => $value !== $hub && !($hub === 'off' && in_array($value, ['', '0'], true)),
            default => match (true) {
                is_bool($hub) => in_array(strtolower($value), ['1', 'on', 'yes', 'true'], true) !== $hub,
                is_int($hub) => self::number($value) !== $hub,
                default => $value !== $hub,
            },
        };
    }

    private static function number(string $value): ?int
    {
        return preg_match('/^\s*(\d{1,18})\s*([KMG]?)\s*$/Di', $value, $parts) === 1
            ? (int) $parts[1] * self::UNITS[strtoupper($parts[2])]
            : null;
    }

    private static function group(string $value): ?int
    {
        if (ctype_digit($value)) {
            return (int) $value;
        }
        $group = function_exists('posix_getgrnam') ? posix_getgrnam($value) : false;
        $id = is_array($group) ? $group['gid'] ?? null : null;

        return is_int($id) ? $id : null;
    }

    /** As the hub tells it: without passwords and parameters, with ports and database. */
    private static function bus(string $value): string
    {
        $pattern = '~^(redis|valkey)(s?)(\+sentinel|\+cluster|)://(?:[^/?]*@)?([^/?@]+)(/[^?]*)?~';
        if (preg_match($pattern, $value, $parts) !== 1) {
            return $value;
        }
        [, , $tls, $kind, $hosts] = $parts;
        $port = $kind === '+sentinel' ? '26379' : '6379';
        $hosts = array_map(
            static fn (string $host): string => preg_match('~:\d+$~D', $host) === 1 ? $host : rtrim($host, ':') . ":$port",
            explode(',', $hosts),
        );
        $path = rtrim($parts[5] ?? '', '/');
        $path = match ($kind) {
            '+cluster' => '',
            '+sentinel' => preg_match('~^/[^/]+/~', $path) === 1 ? $path : "$path/0",
            default => $path === '' ? '/0' : $path,
        };

        return "redis$tls$kind://" . implode(',', $hosts) . $path;
    }
}
