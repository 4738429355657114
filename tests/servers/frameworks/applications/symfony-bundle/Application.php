<?php

declare(strict_types=1);

namespace App;

use App\EventListener\StreamLimit;
use Doctrine\DBAL\Configuration;
use Doctrine\DBAL\Connection;
use Doctrine\DBAL\DriverManager;
use Sse\Event;
use Sse\Publisher\InMemoryPublisher;
use Sse\PublisherInterface;
use Sse\Symfony\DoctrineMiddleware;
use Sse\Symfony\PublishMiddleware;
use Sse\Symfony\SseBundle;
use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Bundle\TwigBundle\TwigBundle;
use Symfony\Bundle\WebProfilerBundle\WebProfilerBundle;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

use function Symfony\Component\DependencyInjection\Loader\Configurator\inline_service;
use function Symfony\Component\DependencyInjection\Loader\Configurator\service;

/** A message, whose handler publishes. */
final class Pay
{
    public function __construct(public readonly int $order, public readonly bool $fails)
    {
    }
}

final class PayHandler
{
    public function __construct(private readonly PublisherInterface $publisher)
    {
    }

    public function __invoke(Pay $message): void
    {
        $this->publisher->publish(new Event("orders.$message->order", 'paid by a message'));
        if ($message->fails) {
            throw new \DomainException('the handler fails');
        }
    }
}

/** An application of Symfony's framework bundle, with php-sse's bundle as a user has it. */
final class Application extends Kernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        return [new FrameworkBundle(), new TwigBundle(), new WebProfilerBundle(), new SseBundle()];
    }

    public function getProjectDir(): string
    {
        return __DIR__;
    }

    public function getCacheDir(): string
    {
        return dirname(__DIR__, 3) . "/log/symfony/cache-$this->environment";
    }

    public function getLogDir(): string
    {
        return dirname(__DIR__, 3) . '/log/symfony';
    }

    private function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'of the test',
            'router' => ['utf8' => true],
            'http_method_override' => false,
            'profiler' => ['collect' => $this->debug],
            'messenger' => ['buses' => ['messenger.bus.default' => ['middleware' => [PublishMiddleware::class]]]],
        ]);
        $container->extension('twig', ['default_path' => __DIR__ . '/templates']);
        $container->extension('web_profiler', ['toolbar' => $this->debug]);
        $container->extension('sse', ['stream_url' => '/stream']);
        $services = $container->services()->defaults()->autowire()->autoconfigure();
        $services->set(Controller::class)->public()->tag('controller.service_arguments');
        $services->set(PayHandler::class)->tag('messenger.message_handler', ['handles' => Pay::class]);
        if (class_exists(StreamLimit::class, false)) {
            $container->extension('framework', ['rate_limiter' => [
                'streams' => ['policy' => 'sliding_window', 'limit' => 2, 'interval' => '1 hour', 'lock_factory' => null],
            ]]);
            $services->set(StreamLimit::class)->tag('kernel.event_listener', ['event' => 'kernel.request']);
        }
        if ($this->environment === 'test') {
            $services->set(InMemoryPublisher::class)->public();
            $services->alias(PublisherInterface::class, InMemoryPublisher::class)->public();
        }
        // As DoctrineBundle makes it, which Debian does not have.
        $services->set(Connection::class)->factory([DriverManager::class, 'getConnection'])->args([
            ['driver' => 'pdo_sqlite', 'path' => dirname(__DIR__, 3) . '/log/orders.sqlite'],
            inline_service(Configuration::class)->call('setMiddlewares', [[service(DoctrineMiddleware::class)]]),
        ]);
    }

    private function configureRoutes(RoutingConfigurator $routes): void
    {
        foreach (['hello', 'publish', 'stream', 'render', 'page', 'order', 'message'] as $name) {
            $routes->add($name, "/$name")->controller([Controller::class, $name]);
        }
        if ($this->debug) {
            $routes->import('@WebProfilerBundle/Resources/config/routing/profiler.xml')->prefix('/_profiler');
            $routes->import('@WebProfilerBundle/Resources/config/routing/wdt.xml')->prefix('/_wdt');
        }
    }
}
