<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

use RuntimeException;

/** This machine's PHP as if it were installed once more: with its own programs, extensions, ini files and prefix. */
final class OtherPhp
{
    public readonly string $program;
    public readonly string $config;
    public readonly string $extensions;
    public readonly string $settings;

    public function __construct(TempFolder $folder, string $name)
    {
        $prefix = $folder->folder($name);
        foreach (['bin', 'modules', 'conf.d'] as $sub) {
            $folder->folder("$name/$sub");
        }
        $this->extensions = $folder->folder("$name/modules/" . basename(PHP_EXTENSION_DIR));
        $this->settings = "$prefix/conf.d";
        $php = escapeshellarg(Php::cli());
        $this->program = $folder->file("$name/bin/php", <<<SH
            #!/bin/bash
            PHP_INI_SCAN_DIR=$this->settings exec -a "$0" $php -c $prefix -d extension_dir=$this->extensions "$@"
            SH, 0755);
        $this->config = $folder->file("$name/bin/php-config", <<<SH
            #!/bin/bash
            case $1 in
                --extension-dir) echo $this->extensions ;;
                --ini-dir) echo $this->settings ;;
                --prefix) echo $prefix ;;
                --php-binary) echo $this->program ;;
                *) exec php-config "$@" ;;
            esac
            SH, 0755);
    }

    /** Whether it loads the extension by itself, and says nothing when it starts. */
    public function loads(): bool
    {
        exec(escapeshellarg($this->program) . ' -r \'echo extension_loaded("sse") ? "yes" : "no";\' 2>&1', $lines);

        return match ($lines) {
            ['yes'] => true,
            ['no'] => false,
            default => throw new RuntimeException("$this->program said: " . implode("\n", $lines)),
        };
    }
}
