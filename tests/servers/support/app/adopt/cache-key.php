<?php

// The latest notification, as soon as the cache says that there is a new one; looked at every two seconds.

require __DIR__ . '/query-log.php';

final class NotificationStream
{
    private const HEARTBEAT = 30;

    public function __construct(private string $key, private int $poll = 2)
    {
    }

    public function run(callable $data): void
    {
        $sent = null;
        $lastWrite = time();
        while (!connection_aborted()) {
            query_log('cache-key');
            $changed = apcu_fetch($this->key);
            if ($changed > $sent) {
                echo "event: notification\n";
                echo 'data: ' . json_encode($data()) . "\n\n";
                $sent = $changed;
                $lastWrite = time();
            } elseif (time() - $lastWrite > self::HEARTBEAT) {
                echo ": \n\n";
                $lastWrite = time();
            }
            if (ob_get_level() > 0) {
                ob_flush();
            }
            flush();
            sleep($this->poll);
        }
    }
}

set_time_limit(0);
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');
header('Connection: keep-alive');
(new NotificationStream('notifications_7'))->run(static fn (): array => ['text' => apcu_fetch('notification_text')]);
