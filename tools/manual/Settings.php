<?php

declare(strict_types=1);

/** The table of settings in src/ini.rs: groups (`// # NAME`), and above each setting a comment that says what it means. */
final class Settings
{
    private const SET_IN = [
        'SYSTEM' => 'php.ini, a pool',
        'PER_DIR' => 'php.ini, a pool, a folder',
        'ALL' => 'anywhere',
    ];
    private const ACCESS = ['SYSTEM' => INI_SYSTEM, 'PER_DIR' => INI_PERDIR, 'ALL' => INI_ALL];

    /** @param list<array{group: string, name: string, default: string, where: string, text: string}> $rows */
    private function __construct(private readonly array $rows)
    {
    }

    public static function read(string $file): self
    {
        $code = (string) file_get_contents($file);
        $begin = strpos($code, 'static SETTINGS');
        $end = strpos($code, 'IniEntryDef::end()');
        if ($begin === false || $end === false) {
            throw new RuntimeException("$file has no table SETTINGS that ends in IniEntryDef::end()");
        }
        $rows = $text = [];
        $group = '';
        foreach (explode("\n", substr($code, $begin, $end - $begin)) as $line) {
            if (preg_match('/^ *\/\/ # (.+)$/', $line, $match)) {
                $group = $match[1];
            } elseif (preg_match('/^ *\/\/ (.+)$/', $line, $match)) {
                $text[] = $match[1];
            } elseif (preg_match('/setting\(c"(sse\.\w+)", c"([^"]*)", (\w+)\)/', $line, $match)) {
                if ($text === [] || !isset(self::SET_IN[$match[3]])) {
                    throw new RuntimeException("$file: the setting $match[1] needs a comment above it that says what it means");
                }
                $rows[] = [
                    'group' => $group,
                    'name' => $match[1],
                    'default' => $match[2],
                    'where' => $match[3],
                    'text' => implode(' ', $text),
                ];
                $text = [];
            }
        }

        return new self($rows);
    }

    /** @return list<string> */
    public function names(): array
    {
        return array_column($this->rows, 'name');
    }

    public function page(): string
    {
        $page = <<<'MD'
            # Settings

            <!-- Written by tools/docs from src/ini.rs. Change the comments there, and run tools/docs. -->

            One line is enough, `extension=sse.so`; every setting has a default. `php --ri sse` and `phpinfo()` show the values
            in force, and where the hub is. A setting that cannot be used is named in an exception by the first call that uses
            it, with its value and what to do. No value counts as empty because of its bytes: `sse.udp_key` and paths are taken as
            they are, all others are UTF-8 or refused.

            **Set in** says where a value can come from: *php.ini* means php.ini, its folder of ini files, and `php -d`; *a pool*
            means `php_admin_value` in a pool of PHP-FPM or in Apache's configuration; *a folder* means also `.user.ini`, and
            `php_value` in Apache; *anywhere* means also `ini_set()`.

            **Who reads them.** Those that cannot be set for a folder are the hub's, except `sse.spawn` and `sse.other_hub`: the
            hub reads them when it starts. After a change call [`sse_hub_upgrade()`](../operations/update.md#two-ways-to-upgrade),
            which closes no stream; for `sse.socket`, `sse.history` and `sse.bus` end the hub or restart the server. The others are
            read by the process that calls a function, at each call.

            MD;
        $group = '';
        foreach ($this->rows as $row) {
            if ($row['group'] !== $group) {
                $group = $row['group'];
                $page .= "\n## $group\n\n| setting | default | set in | what it means |\n|---|---|---|---|\n";
            }
            $default = $row['default'] === '' ? '' : "`{$row['default']}`";
            $where = self::SET_IN[$row['where']];
            $text = str_replace('|', '\|', $row['text']);
            $page .= rtrim("| `{$row['name']}` | $default | $where | $text") . " |\n";
        }

        return $page;
    }

    public function ini(): string
    {
        $ini = "; priority=30\n; The one line that is needed:\nextension=sse.so\n\n"
            . "; What can be set, with the defaults. Written by tools/docs.\n";
        $group = '';
        foreach ($this->rows as $row) {
            if ($row['group'] !== $group) {
                $group = $row['group'];
                $ini .= "\n; --- $group\n";
            }
            $text = wordwrap(str_replace('`', '', $row['text']), 118, "\n; ");
            $default = preg_match('/^[\w.]*$/', $row['default']) ? $row['default'] : "\"{$row['default']}\"";
            $ini .= "; $text\n" . rtrim(";{$row['name']} = $default") . "\n";
        }

        return $ini;
    }

    /**
     * How the table differs from what the extension says of itself.
     *
     * @param array<string, array{global_value: ?string, access: int}> $loaded of ini_get_all()
     * @return list<string>
     */
    public function differences(array $loaded): array
    {
        $problems = [];
        foreach ($this->rows as ['name' => $name, 'default' => $default, 'where' => $where]) {
            $found = $loaded[$name] ?? null;
            unset($loaded[$name]);
            if ($found === null) {
                $problems[] = "the built extension has no setting $name; run make build";
            } elseif ((string) $found['global_value'] !== $default || $found['access'] !== self::ACCESS[$where]) {
                $problems[] = "$name has another default or place in the built extension than in src/ini.rs; run make build";
            }
        }
        foreach (array_keys($loaded) as $name) {
            $problems[] = "the setting $name of the built extension is not in the table of src/ini.rs as it is read here";
        }

        return $problems;
    }
}
