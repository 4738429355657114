<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use InvalidArgumentException;

/** Every server the suite knows, by name. */
final class Catalogue
{
    /** Those on which a stream leaves its worker. */
    public const HAND_OFF = [
        'nginx-fpm-unix',
        'nginx-fpm-unix-keep',
        'nginx-fpm-tcp',
        'nginx-fpm-tcp-keep',
        'apache-fcgi',
        'apache-mod-php',
        'caddy-fpm',
        'php-s',
        'php-s-workers',
    ];

    /** Those on which the web server fetches the stream from the hub. */
    public const REDIRECT = ['nginx-fpm-redirect', 'caddy-fpm-redirect'];

    /** One of each way of handing a connection over, for behaviours that the web server in front cannot change. */
    public const EACH_SAPI = ['nginx-fpm-unix', 'nginx-fpm-tcp-keep', 'apache-mod-php', 'php-s'];

    public const FPM = [
        'nginx-fpm-unix',
        'nginx-fpm-unix-keep',
        'nginx-fpm-tcp',
        'nginx-fpm-tcp-keep',
        'apache-fcgi',
        'caddy-fpm',
    ];

    /** Those on which a stream stays in its worker. */
    public const BLOCKING = ['apache-mod-php-tls', 'nginx-fpm-blocking', 'apache-mod-php-blocking', 'php-s-blocking'];

    /** Those without the extension, where the library's polyfill has its functions. */
    public const POLYFILL = ['nginx-fpm-polyfill', 'php-s-polyfill'];

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    public static function make(string $name, array $ini = [], array $options = []): Server
    {
        $off = ['sse.detach' => 'off'];
        $redirect = ['sse.detach' => 'redirect', 'sse.redirect_header' => 'X-Accel-Redirect'];
        $polyfill = ['polyfill' => 1];
        $places = ['sse.polyfill_streams' => 5];

        return match ($name) {
            'nginx-fpm-unix' => new NginxFpm($ini, $options),
            'nginx-fpm-unix-keep' => new NginxFpm($ini, $options + ['keep' => 1]),
            'nginx-fpm-tcp' => new NginxFpm($ini, $options + ['listen' => 'tcp']),
            'nginx-fpm-tcp-keep' => new NginxFpm($ini, $options + ['listen' => 'tcp', 'keep' => 1]),
            'nginx-fpm-redirect' => new NginxFpm($ini + $redirect, $options + ['redirect' => 1]),
            'caddy-fpm-redirect' => new CaddyFpm($ini + ['sse.detach' => 'redirect'], $options + ['redirect' => 1]),
            'nginx-fpm-blocking' => new NginxFpm($ini + $off, $options),
            'apache-fcgi' => new ApacheFcgi($ini + self::unpadded($options), $options),
            'apache-fcgi-polyfill' => new ApacheFcgi($ini + $places, $options + $polyfill + ['pm.max_children' => 6]),
            'apache-mod-php' => new ApacheModPhp($ini, $options),
            'apache-mod-php-blocking' => new ApacheModPhp($ini + $off, $options),
            'apache-mod-php-tls' => new ApacheModPhp($ini, $options + ['tls' => 1]),
            'caddy-fpm' => new CaddyFpm($ini, $options),
            'apache-fcgid' => new ApacheFcgid($ini, $options),
            'lighttpd-fpm' => new LighttpdFpm($ini, $options),
            'haproxy-fpm' => new HaproxyFpm($ini, $options),
            'php-s' => new CliServer($ini, $options),
            'php-s-workers' => new CliServer($ini, $options + ['workers' => 2]),
            'php-s-blocking' => new CliServer($ini + $off, $options + ['workers' => 2]),
            'nginx-fpm-polyfill' => new NginxFpm($ini + $places, $options + $polyfill + ['pm.max_children' => 6]),
            'php-s-polyfill' => new CliServer($ini + $places, $options + $polyfill + ['workers' => 6]),
            default => throw new InvalidArgumentException("no server is called '$name'"),
        };
    }

    /**
     * With `flushpackets=on`, as the manual says.
     *
     * @param array<string, string|int> $options
     * @return array<string, string>
     */
    private static function unpadded(array $options): array
    {
        return ($options['flushpackets'] ?? 'on') === 'on' ? ['sse.pad' => 'off'] : [];
    }

    /**
     * @param list<string> $names
     * @return array<string, array{string}> for a data provider
     */
    public static function each(array $names): array
    {
        return array_combine($names, array_map(static fn (string $name): array => [$name], $names));
    }
}
