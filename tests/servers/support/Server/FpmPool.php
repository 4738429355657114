<?php

declare(strict_types=1);

namespace PhpSse\Tests\Server;

/** The configuration of php-fpm with one pool of two workers, behind whichever web server; and of another pool, if wanted. */
final class FpmPool
{
    public readonly string $listen;
    private readonly string $file;

    /**
     * @param array<string, string|int> $options pool settings, as pm.max_requests; 'listen' => unix or tcp;
     *     'listen.owner', 'listen.mode', 'listen.allowed_clients' as FPM has them; 'nofile' => limit of open files;
     *     'refused' => system calls that its processes are refused, as RefusedCalls has them;
     *     'other' => a setting of another pool of one worker, as sse.adopt=1
     */
    public function __construct(private readonly TempFolder $folder, private readonly array $options)
    {
        $path = $folder->path;
        $this->listen = ($options['listen'] ?? 'unix') === 'tcp' ? '127.0.0.1:' . Port::free() : "$path/fpm.sock";
        $user = Php::workerUser();
        $owner = $options['listen.owner'] ?? $user;
        $identity = posix_geteuid() === 0
            ? "user = $user\ngroup = $user\nlisten.owner = $owner\nlisten.group = $owner\n"
            : '';
        $settings = "pm = static\npm.max_children = {$this->workers()}\n";
        foreach ($options as $name => $value) {
            if (preg_match('/^(env\[\w+\]|pm\.max_requests|request_terminate_timeout|listen\.(mode|allowed_clients)|php_.*)$/', $name)) {
                $settings .= "$name = $value\n";
            }
        }
        $this->file = $folder->file('fpm.conf', <<<CONF
            [global]
            error_log = $path/log/fpm.log
            pid = $path/fpm.pid
            daemonize = no
            [www]
            {$identity}listen = {$this->listen}
            listen.backlog = 511
            catch_workers_output = yes
            access.log = $path/log/fpm-access.log
            $settings
            {$this->other($identity)}
            CONF);
    }

    /** The other pool's listener; '' if there is none. */
    public function otherAddress(): string
    {
        return isset($this->options['other']) ? "unix:{$this->folder->path}/fpm-other.sock" : '';
    }

    private function other(string $identity): string
    {
        if (!isset($this->options['other'])) {
            return '';
        }
        [$name, $value] = explode('=', (string) $this->options['other'], 2);
        $listen = substr($this->otherAddress(), strlen('unix:'));

        return "[other]\n{$identity}listen = $listen\npm = static\npm.max_children = 1\nphp_admin_value[$name] = $value\n";
    }

    /** Takes effect with the next reload. */
    public function setEnvironment(string $name, string $value): void
    {
        $text = (string) file_get_contents($this->file);
        file_put_contents($this->file, preg_replace('/^(env\\[' . $name . '\\] = ).*$/m', '${1}' . $value, $text));
    }

    /** How many workers it has, without those of another pool. */
    public function workers(): int
    {
        return (int) ($this->options['pm.max_children'] ?? 2);
    }

    /** @return list<string> */
    public function command(): array
    {
        $limit = $this->options['nofile'] ?? null;

        return [
            ...RefusedCalls::prefix((string) ($this->options['refused'] ?? '')),
            ...($limit === null ? [] : ['prlimit', "--nofile=$limit:$limit"]),
            Php::fpm(),
            '--nodaemonize',
            '--fpm-config',
            $this->file,
            '-c',
            "{$this->folder->path}/php.ini",
        ];
    }

    /** The listener in the words of a URL's authority: unix:/path or host:port. */
    public function address(): string
    {
        return $this->listen[0] === '/' ? "unix:{$this->listen}" : $this->listen;
    }
}
