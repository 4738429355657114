<?php

// Event streams as tutorials show them, each in its own way of buffering, flushing and sleeping. `loop` says which; without it the
// answer is a list of their names. All are short, and say the same each time.

$tick = static function (int $microseconds = 1000): void {
    usleep($microseconds);
};
$flush = static function (): void {
    ob_flush();
    flush();
};
// Longer than a heartbeat.
$pause = static function (): void {
    time_nanosleep(1, 200_000_000);
};

$loops = [
    'echo and flush' => static function () use ($tick): void {
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            flush();
            $tick();
        }
    },
    'ob_flush and flush' => static function () use ($tick, $flush): void {
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            $flush();
            $tick();
        }
    },
    'ob_flush only where there is a buffer' => static function () use ($tick): void {
        foreach (['a', 'b'] as $word) {
            echo "data: $word\n\n";
            if (ob_get_level() > 0) {
                ob_flush();
            }
            flush();
            $tick();
        }
    },
    'all buffers ended at first' => static function () use ($tick): void {
        while (ob_get_level() > 0) {
            ob_end_flush();
        }
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            flush();
            $tick();
        }
        echo 'data: level ', ob_get_level(), "\n\n";
    },
    'a buffer thrown away at first' => static function () use ($tick): void {
        ob_start();
        echo 'nobody sees this';
        ob_end_clean();
        echo "data: seen\n\n";
        flush();
        $tick();
        echo "data: too\n\n";
    },
    'ob_implicit_flush' => static function () use ($tick): void {
        ob_implicit_flush();
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            $tick();
        }
    },
    'ended and started again' => static function () use ($tick): void {
        ob_start();
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            ob_end_flush();
            flush();
            ob_start();
            $tick();
        }
        ob_end_flush();
    },
    'caught and told' => static function () use ($tick): void {
        for ($n = 0; $n < 3; $n++) {
            ob_start();
            echo "part $n";
            $part = ob_get_clean();
            echo 'data: ', strlen($part), " $part\n\n";
            flush();
            $tick();
        }
    },
    'flush while caught' => static function () use ($tick): void {
        for ($n = 0; $n < 2; $n++) {
            ob_start();
            echo "secret $n";
            flush();
            $tick();
            $length = strlen(ob_get_clean());
            echo "data: $length bytes\n\n";
            flush();
        }
    },
    'a callback that makes events' => static function () use ($tick, $flush): void {
        ob_start(static fn (string $text): string => $text === '' ? '' : "data: $text\n\n");
        foreach (['a', 'b', 'c'] as $word) {
            echo $word;
            $flush();
            $tick();
        }
    },
    'a callback that counts its calls' => static function () use ($tick, $flush): void {
        $calls = 0;
        ob_start(static function (string $text, int $phase) use (&$calls): string {
            return "data: call " . ++$calls . " in phase $phase: $text\n\n";
        });
        for ($n = 0; $n < 3; $n++) {
            echo $n;
            $flush();
            $tick();
        }
        ob_end_flush();
    },
    'a buffer of a size' => static function () use ($tick): void {
        ob_start(null, 10);
        for ($n = 0; $n < 4; $n++) {
            echo "data: number $n\n\n";
            $tick();
        }
        ob_end_flush();
    },
    'a buffer of one byte' => static function () use ($tick): void {
        ob_start(null, 1);
        echo "data: a\n\n";
        $tick();
        echo "data: b\n\n";
    },
    'two buffers' => static function () use ($tick): void {
        ob_start(static fn (string $text): string => strtoupper($text));
        ob_start(static fn (string $text): string => strrev($text));
        for ($n = 0; $n < 2; $n++) {
            echo "\n\n$n ereht :atad";
            ob_flush();
            flush();
            $tick();
        }
        ob_end_flush();
        ob_end_flush();
        echo "data: the end\n\n";
    },
    'drafts are cleaned' => static function () use ($tick, $flush): void {
        ob_start();
        for ($n = 0; $n < 3; $n++) {
            echo "data: draft\n\n";
            ob_clean();
            echo "data: $n\n\n";
            $flush();
            $tick();
        }
    },
    'drafts are cleaned in what PHP buffers' => static function () use ($tick, $flush): void {
        for ($n = 0; $n < 3; $n++) {
            echo "data: draft $n\n\n";
            ob_clean();
            echo "data: $n\n\n";
            $flush();
            $tick();
        }
    },
    'told what is buffered' => static function () use ($tick): void {
        ob_start();
        echo "data: held\n\n";
        flush();
        $tick();
        $held = ob_get_length();
        ob_end_flush();
        echo "data: $held bytes were held\n\n";
        flush();
    },
    'names, ids and retry' => static function () use ($tick): void {
        echo "retry: 3000\n\n";
        $send = static function (int $id, string $event, array $data): void {
            echo "id: $id\nevent: $event\ndata: ", json_encode($data), "\n\n";
            flush();
        };
        for ($id = 1; $id <= 3; $id++) {
            $send($id, 'price', ['value' => $id / 4]);
            $tick();
        }
    },
    'goes on after the last id' => static function () use ($tick): void {
        $last = (int) ($_SERVER['HTTP_LAST_EVENT_ID'] ?? 0);
        for ($id = $last + 1; $id <= 10; $id++) {
            echo "id: $id\ndata: after $last\n\n";
            flush();
            $tick();
        }
    },
    'text of several lines' => static function () use ($tick): void {
        foreach (["one\ntwo", "three\n\nfour"] as $text) {
            foreach (explode("\n", $text) as $line) {
                echo "data: $line\n";
            }
            echo "\n";
            flush();
            $tick();
        }
    },
    'padding for old browsers' => static function () use ($tick): void {
        echo ':', str_repeat(' ', 2048), "\n\n";
        flush();
        $tick();
        echo "data: after it\n\n";
    },
    'comments of its own' => static function () use ($tick): void {
        for ($n = 0; $n < 3; $n++) {
            echo ": still here\n\n";
            flush();
            $tick();
        }
    },
    'a session that is closed first' => static function () use ($tick): void {
        session_start();
        $_SESSION['name'] = 'someone';
        session_write_close();
        echo "data: {$_SESSION['name']}\n\n";
        flush();
        $tick();
    },
    'a session that counts' => static function () use ($tick): void {
        session_start();
        $_SESSION['n'] = 0;
        while ($_SESSION['n'] < 3) {
            echo "data: {$_SESSION['n']}\n\n";
            flush();
            $tick();
            $_SESSION['n']++;
        }
        echo 'data: ', json_encode($_SESSION), "\n\n";
    },
    'no limit of time' => static function () use ($tick): void {
        set_time_limit(0);
        ignore_user_abort(true);
        for ($n = 0; $n < 3 && !connection_aborted(); $n++) {
            echo "data: $n ", connection_status(), "\n\n";
            flush();
            $tick();
        }
    },
    'sleeps tell what they return' => static function (): void {
        echo 'data: ', json_encode([sleep(0), usleep(10), time_nanosleep(0, 10)]), "\n\n";
        flush();
        echo 'data: ', json_encode([sleep(0), usleep(10), time_nanosleep(0, 10)]), "\n\n";
    },
    'sleeps with wrong arguments' => static function (): void {
        echo "data: first\n\n";
        flush();
        foreach ([static fn () => sleep(-1), static fn () => usleep(-1), static fn () => time_nanosleep(0, -1)] as $call) {
            try {
                $call();
            } catch (ValueError $error) {
                echo "data: {$error->getMessage()}\n\n";
                flush();
            }
        }
    },
    'a generator' => static function () use ($tick): void {
        $source = static function (): iterable {
            yield 'a' => 1;
            yield 'b' => 2;
        };
        foreach ($source() as $name => $value) {
            echo "event: $name\ndata: $value\n\n";
            flush();
            $tick();
        }
    },
    'a fiber' => static function () use ($tick): void {
        $fiber = new Fiber(static function () use ($tick): void {
            for ($n = 0; $n < 3; $n++) {
                echo "data: $n\n\n";
                flush();
                $tick();
                Fiber::suspend();
            }
        });
        for ($fiber->start(); !$fiber->isTerminated(); $fiber->resume());
    },
    'progress of a task' => static function () use ($tick, $flush): void {
        for ($percent = 0; $percent <= 100; $percent += 25) {
            printf("data: {\"percent\":%d}\n\n", $percent);
            $flush();
            $tick();
        }
        print "event: done\ndata: \n\n";
    },
    'a file is passed through' => static function () use ($tick): void {
        echo 'data: ';
        $file = tmpfile();
        fwrite($file, "from a file\n\n");
        rewind($file);
        fpassthru($file);
        flush();
        $tick();
        echo "data: after it\n\n";
    },
    'nothing is flushed' => static function () use ($tick): void {
        for ($n = 0; $n < 3; $n++) {
            echo "data: $n\n\n";
            $tick();
        }
    },
    'exit in the loop' => static function () use ($tick): void {
        for ($n = 0;; $n++) {
            echo "data: $n\n\n";
            flush();
            $tick();
            if ($n === 2) {
                exit("data: bye\n\n");
            }
        }
    },
    'an exception in the loop' => static function () use ($tick): void {
        echo "data: first\n\n";
        flush();
        $tick();
        throw new RuntimeException('the source has gone');
    },
    'the last event at the shutdown' => static function () use ($tick): void {
        register_shutdown_function(static function () use ($tick): void {
            $tick();
            echo "event: end\ndata: \n\n";
            flush();
        });
        echo "data: first\n\n";
        flush();
        $tick();
    },
    'sleeps before it has output' => static function () use ($tick): void {
        $tick();
        echo "data: late\n\n";
        flush();
        $tick();
    },
    'a type that comes late' => static function () use ($tick): void {
        header('Content-Type: text/html');
        $tick();
        header('Content-Type: text/event-stream; charset=utf-8');
        echo "data: late\n\n";
        flush();
        $tick();
    },
    'compressed by the script' => static function () use ($pause, $flush): void {
        ob_start('ob_gzhandler');
        echo "data: a\n\n";
        $flush();
        $pause();
        echo "data: b\n\n";
        $flush();
    },
    'measured by the script' => static function () use ($pause): void {
        header('Content-Length: 18');
        echo "data: a\n\n";
        flush();
        $pause();
        echo "data: b\n\n";
    },
    'a long sleep between events' => static function () use ($pause, $flush): void {
        echo "data: a\n\n";
        $flush();
        $pause();
        echo "data: b\n\n";
        $flush();
    },
    'a long sleep between two lines' => static function () use ($pause): void {
        echo "event: x\r\n";
        flush();
        $pause();
        echo "data: b\r\n\r\n";
    },
    'a long sleep within a line' => static function () use ($pause): void {
        echo 'data: a';
        flush();
        $pause();
        echo "b\n\n";
    },
    'another type' => static function () use ($pause): void {
        header('Content-Type: text/plain');
        echo "line 1\n";
        flush();
        $pause();
        echo "line 2\n";
    },
];

$loop = $_GET['loop'] ?? null;
if ($loop === null) {
    exit(json_encode(array_keys($loops)));
}
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
$loops[$loop]();
