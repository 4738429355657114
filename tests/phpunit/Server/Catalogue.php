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

    /**
     * @param array<string, string|int> $ini
     * @param array<string, string|int> $options
     */
    public static function make(string $name, array $ini = [], array $options = []): Server
    {
        $off = ['sse.detach' => 'off'];

        return match ($name) {
            'nginx-fpm-unix' => new NginxFpm($ini, $options),
            'nginx-fpm-unix-keep' => new NginxFpm($ini, $options + ['keep' => 1]),
            'nginx-fpm-tcp' => new NginxFpm($ini, $options + ['listen' => 'tcp']),
            'nginx-fpm-tcp-keep' => new NginxFpm($ini, $options + ['listen' => 'tcp', 'keep' => 1]),
            'nginx-fpm-blocking' => new NginxFpm($ini + $off, $options),
            'apache-fcgi' => new ApacheFcgi($ini, $options),
            'apache-mod-php' => new ApacheModPhp($ini, $options),
            'apache-mod-php-blocking' => new ApacheModPhp($ini + $off, $options),
            'apache-mod-php-tls' => new ApacheModPhp($ini, $options + ['tls' => 1]),
            'caddy-fpm' => new CaddyFpm($ini, $options),
            'php-s' => new CliServer($ini, $options),
            'php-s-workers' => new CliServer($ini, $options + ['workers' => 2]),
            'php-s-blocking' => new CliServer($ini + $off, $options + ['workers' => 2]),
            default => throw new InvalidArgumentException("no server is called '$name'"),
        };
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
