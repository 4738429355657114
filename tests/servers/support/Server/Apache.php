<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** The parts of an Apache configuration that stands on its own, without a file of the machine's. */
final class Apache
{
    public const MODULES = '/usr/lib/apache2/modules';

    /**
     * @param list<string> $modules their names without mod_
     * @param string $more the directives that follow
     * @param null|int $port where Apache stands in front of the server: its own
     */
    public static function configuration(Server $server, array $modules, string $more, ?int $port = null): string
    {
        $port ??= $server->port;
        $path = $server->folder->path;
        $load = '';
        foreach ($modules as $module) {
            $load .= "LoadModule {$module}_module " . self::MODULES . "/mod_$module.so\n";
        }
        $identity = posix_geteuid() === 0 ? 'User ' . Php::workerUser() . "\nGroup " . Php::workerUser() : '';

        return <<<CONF
            ServerRoot "$path"
            ServerName 127.0.0.1
            DefaultRuntimeDir "$path"
            PidFile "$path/apache.pid"
            ErrorLog "$path/log/apache-error.log"
            LogLevel warn
            {$load}$identity
            Listen 127.0.0.1:$port
            ListenBacklog 511
            DocumentRoot "$path/app"
            <Directory "$path/app">
                Require all granted
            </Directory>
            CustomLog "$path/log/apache-access.log" "%t %r %>s %D"
            $more

            CONF;
    }

    /** What makes a server of it that speaks TLS, with a certificate that nobody has signed. */
    public static function tls(Server $server): string
    {
        $certificate = new Certificate($server->folder);

        return "SSLEngine on\nSSLCertificateFile \"{$certificate->file}\"\nSSLCertificateKeyFile \"{$certificate->key}\"\n"
            . "SSLSessionCache none";
    }

    /** @return list<string> */
    public static function command(string $folder, string $file): array
    {
        return ['apache2', '-d', $folder, '-f', $file, '-DFOREGROUND'];
    }
}
