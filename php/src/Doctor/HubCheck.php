<?php

declare(strict_types=1);

namespace Sse\Doctor;

use ReflectionExtension;
use Sse\Stats;
use SseException;
use SseUnavailable;

/** Looks at this process, its settings and its hub. */
final class HubCheck
{
    /** Fewer descriptors than this are used up by a small crowd. */
    private const FEW_DESCRIPTORS = 4096;
    /** The part of the memory there is above which little is left for the web server and PHP. */
    private const MUCH_MEMORY = 0.8;

    /** @var list<Finding> */
    private array $findings = [];

    /** @return list<Finding> */
    public function findings(): array
    {
        if (!extension_loaded('sse')) {
            $settings = (php_ini_loaded_file() ?: 'php.ini') . ' or its conf.d';
            $this->add(
                'no-extension',
                Finding::ERROR,
                'this PHP (' . PHP_SAPI . ') has not loaded the extension sse, so it finds no hub; streams of a web server'
                    . ' whose PHP lacks it as well are the polyfill\'s, and each holds a worker',
                PHP_SAPI === 'cli'
                    ? "begin the command with php -d extension=/path/to/sse.so, or add extension=sse.so to $settings"
                    : "add extension=sse.so to $settings, and restart PHP",
            );

            return $this->findings;
        }
        $section = self::section();
        $this->look($section);
        try {
            $stats = Stats::ofHub();
            $this->add('hub', Finding::OK, 'the hub at ' . ($section['Hub'] ?? '?') . ' runs: ' . ($section['Running hub'] ?? ''));
            $this->lookAtSettings($stats);
            $this->lookAtFigures($stats);
        } catch (SseUnavailable $problem) {
            $isNotRunning = str_contains($problem->getMessage(), 'no hub runs');
            $this->add(
                $isNotRunning ? 'no-hub' : 'hub-unusable',
                $isNotRunning ? Finding::WARNING : Finding::ERROR,
                $problem->getMessage(),
                $isNotRunning
                    ? 'open a stream first; if one is open already, this process looks elsewhere than the web server: compare the'
                        . ' lines "Hub" of phpinfo() in a page and of php --ri sse, and run this as the web server\'s user'
                    : 'the message says which path or permission it is',
            );
        } catch (SseException $problem) {
            $this->add(
                'other-user',
                Finding::WARNING,
                "the hub is another user's, and answers only what its group may ask: " . $problem->getMessage(),
                'run this as the user that the hub runs as, for the rest of the checks',
            );
        }

        return $this->findings;
    }

    private function add(string $id, string $level, string $message, string $cure = ''): void
    {
        $this->findings[] = new Finding($id, $level, $message, $cure);
    }

    /**
     * The extension's section of phpinfo().
     *
     * @return array<string, string>
     */
    public static function section(): array
    {
        ob_start();
        (new ReflectionExtension('sse'))->info();
        $text = (string) ob_get_clean();
        $text = html_entity_decode(strip_tags(str_replace(['</td><td', '</td>'], [' => <td', ''], $text)), ENT_QUOTES | ENT_HTML5);
        preg_match_all('/^\s*(.+?)\s+=>\s*(.*?)\s*$/m', $text, $rows, PREG_SET_ORDER);

        $section = [];
        foreach ($rows as $row) {
            $section[$row[1]] = $row[2];
        }

        return $section;
    }

    /** @param array<string, string> $section */
    private function look(array $section): void
    {
        $this->add('version', Finding::OK, 'PHP ' . PHP_VERSION . ' (' . PHP_SAPI . '), php-sse ' . ($section['Version'] ?? '?'));
        $other = $section["Web server's hub"] ?? null;
        if ($other !== null) {
            // The sentence ends with what to do.
            $cure = (string) strrchr($other, ';');
            $this->add(
                'web-servers-hub',
                Finding::ERROR,
                'what is published from here does not reach the web server\'s streams: ' . substr($other, 0, -strlen($cure)),
                ltrim($cure, '; '),
            );
        }
        if (PHP_SAPI !== 'cli' && str_contains($section['Streams of this SAPI'] ?? '', 'served in the worker')) {
            $this->add(
                'worker-held',
                Finding::WARNING,
                'each stream holds a worker here: ' . $section['Streams of this SAPI'],
                'see docs/operations/servers.md for the servers that hand streams over',
            );
        }
        if (PHP_SAPI !== 'cli' && in_array(ini_get('sse.detach'), ['off', '0', ''], true)) {
            $this->add('detach-off', Finding::WARNING, 'sse.detach is off: each stream holds a worker', 'set sse.detach=auto');
        }
    }

    private function lookAtSettings(Stats $stats): void
    {
        $differing = array_filter(Settings::all($stats->settings()), static fn (array $row): bool => $row['differs']);
        if ($differing !== []) {
            $this->add(
                'settings',
                Finding::WARNING,
                'the hub has other settings than this process: ' . implode(', ', array_column($differing, 'name')),
                '`sse config --differing` shows them; `sse upgrade` gives the hub those of this process, without closing a stream',
            );
        }
        $own = phpversion('sse');
        if (is_string($own) && $own !== ($stats->at('version') ?? $own)) {
            $this->add('hub-version', Finding::WARNING, "the hub is still that of another php-sse, not of $own", 'run `sse upgrade`');
        }
    }

    private function lookAtFigures(Stats $stats): void
    {
        $number = static fn (string $path): int => $stats->number($path) ?? 0;
        $limit = $number('descriptor_limit');
        if ($limit > 0 && $limit < self::FEW_DESCRIPTORS) {
            $this->add(
                'descriptors',
                Finding::WARNING,
                "each process of the hub may have $limit descriptors, one for each stream and each PHP process;"
                    . " {$number('streams.open')} streams are open",
                'raise rlimit_files of PHP-FPM, LimitNOFILE of the service or ulimit -n, and restart the hub',
            );
        }
        $this->lookAtMemory($stats, $number('resident_bytes'));
        $published = $number('published');
        if ($published > 0 && $number('published_unwatched') === $published) {
            $this->add(
                'unwatched',
                Finding::WARNING,
                "nobody watched the topics of the $published events that were published so far",
                'compare the topics: `sse streams` shows what is watched, sse.log_level=debug what is published',
            );
        }
        foreach (
            [
                'refused.full' => ['full', 'streams were refused because of sse.max_streams', 'raise sse.max_streams'],
                'refused.descriptors' => ['full', 'streams or processes were refused for want of descriptors', 'raise LimitNOFILE'],
                'refused.per_ip' => ['per-ip', 'streams were refused because of sse.max_streams_per_ip', 'behind a proxy, see'
                    . ' docs/operations/limits.md#addresses: all clients may have its address'],
                'refused.connections' => ['strangers', 'connections of other users were refused', 'see sse.socket_group'],
                'refused.protocol' => ['versions', 'PHP processes of another version were refused', 'restart PHP, or `sse upgrade`'],
                'streams.closed.slow' => ['slow', 'streams were ended as their clients read too slowly', 'see sse.stream_buffer'],
                'renders.failed' => ['renders', 'renders have failed', 'the hub\'s log names the scripts'],
                'publish_refused' => ['refused', 'events were refused', 'the hub\'s log says why, if their publishers did not'],
            ] as $path => [$id, $what, $cure]
        ) {
            if ($number($path) > 0) {
                $this->add($id, Finding::NOTE, "{$number($path)} $what", $cure);
            }
        }
        $node = $stats->text('bus.node');
        if ($node !== null && $stats->text('bus.state') === 'connected') {
            $this->add('bus', Finding::OK, "events go by the Redis at $node (sse.bus: {$stats->text('bus.address')})");
        }
        foreach (['bus' => 'bus.problem', 'history' => 'history.file.problem'] as $what => $path) {
            $problem = $stats->text($path);
            if ($problem !== null) {
                $this->add("$what-problem", Finding::ERROR, "nothing can be published now: $problem", "see sse.$what");
            }
        }
        if ($stats->at('udp.listening') === null && ini_get('sse.udp') !== '') {
            $this->add(
                'udp',
                Finding::NOTE,
                'no datagrams are received: another hub or program has ' . (string) ini_get('sse.udp'),
                'give one of them another port, or leave sse.udp empty',
            );
        }
    }

    /** Whether the hub has nearly all the memory there is, or may have more than that by its settings. */
    private function lookAtMemory(Stats $stats, int $resident): void
    {
        $limit = Memory::limit($stats->number('pid') ?? 0);
        $settings = $stats->at('settings');
        if ($limit === null || !is_array($settings)) {
            return;
        }
        $kept = [];
        foreach (array_keys($settings) as $name) {
            if (str_ends_with((string) $name, '_bytes')) {
                $kept[$name] = $stats->number("settings.$name") ?? 0;
            }
        }
        arsort($kept);
        $most = array_sum($kept);
        if ($resident > self::MUCH_MEMORY * $limit || $most > $limit) {
            $mib = static fn (int|float $bytes): string => round($bytes / (1 << 20)) . ' MiB';
            $this->add(
                'memory',
                Finding::WARNING,
                "the hub has {$mib($resident)} of memory and may keep {$mib($most)} by its settings, most of it by sse."
                    . (array_keys($kept)[0] ?? '') . "; there are {$mib($limit)}",
                'lower that setting, or give the machine or its control group more memory',
            );
        }
    }
}
