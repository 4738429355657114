<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** A PHP without the extension that loads the library as Composer does, and so its polyfill. */
final class Polyfill
{
    /** The file that each request or program begins with. */
    public static function loader(TempFolder $folder): string
    {
        $loader = "$folder->path/composer.php";
        if (is_file($loader)) {
            return $loader;
        }
        $folder->copy(dirname(__DIR__, 4) . '/php/src', 'composer');

        return $folder->file('composer.php', <<<'PHP'
            <?php
            spl_autoload_register(static function (string $class): void {
                $file = __DIR__ . '/composer/' . str_replace('\\', '/', substr($class, 4)) . '.php';
                if (str_starts_with($class, 'Sse\\') && is_file($file)) {
                    require_once $file;
                }
            });
            require_once __DIR__ . '/composer/Polyfill/load.php';
            PHP);
    }

    /** @return list<string> PHP's own that it needs, where they are files of their own */
    public static function modules(): array
    {
        return array_values(array_filter(['pdo', 'pdo_sqlite'], Php::hasModule(...)));
    }
}
