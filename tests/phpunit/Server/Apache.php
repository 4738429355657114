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
     */
    public static function configuration(Server $server, array $modules, string $more): string
    {
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
            Listen 127.0.0.1:{$server->port}
            ListenBacklog 511
            DocumentRoot "$path/app"
            <Directory "$path/app">
                Require all granted
            </Directory>
            CustomLog "$path/log/apache-access.log" "%t %r %>s %D"
            $more

            CONF;
    }

    /** @return list<string> */
    public static function command(string $folder, string $file): array
    {
        return ['apache2', '-d', $folder, '-f', $file, '-DFOREGROUND'];
    }
}
