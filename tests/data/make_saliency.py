"""What captum and pytorch-grad-cam say of a small network with a residual sum: what tests/saliency.rs holds our methods against.

    python tests/data/make_saliency.py

Writes saliency.safetensors beside this file, in f64: the network's parameters by name, `input`, `target`, `logits`, and an attribution for
every method that one of the two has. The network's batch norms are folded for captum's LRP, which has no rule for a norm behind a
convolution; its rules take the output as ours do. pytorch-grad-cam's maps are taken before it drops what is negative and stretches the rest
to [0, 1] (`get_cam_image`). It computes the weights of Score-CAM and Ablation-CAM in f32, whatever the network's type, and has no sign for
the component of Eigen-CAM. captum multiplies integrated gradients with weights in f32, and adds up occlusion in f32. Its DeepLIFT does not add
up where a ReLU comes after a maximum (by its own `return_convergence_delta`, 1.4 % of the difference for the first picture here), so that
the network it is asked about has means in the place of maxima.

The file in the repository was made by PyTorch 2.13.0, captum 0.9.0 and pytorch-grad-cam 1.5.7.
"""

import copy
import pathlib

import captum.attr
import numpy
import pytorch_grad_cam
import torch
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, GammaRule
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.torch import save_file
from torch import nn

STEPS = 20


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.add, self.relu2 = Addition_Module(), nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.conv3, self.bn3, self.relu3 = nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU()
        self.mean, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(8, 4)

    def forward(self, x):
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.add(self.bn2(self.conv2(x)), x))
        x = self.relu3(self.bn3(self.conv3(self.pool(x))))
        return self.fc(self.mean(x).flatten(1))


def made():
    torch.manual_seed(0)
    net = Net().double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return net, torch.randn(3, 3, 14, 14, dtype=torch.float64), torch.tensor([0, 3, 1])


def folded(net):
    net = copy.deepcopy(net)
    for at in "123":
        fused = nn.utils.fusion.fuse_conv_bn_eval(getattr(net, "conv" + at), getattr(net, "bn" + at))
        setattr(net, "conv" + at, fused)
        # No module, for which captum wants a rule; and one that counts as an activation must not come before another.
        delattr(net, "bn" + at)
        setattr(net, "bn" + at, lambda y: y)
    return net


def with_means(net):
    net = copy.deepcopy(net)
    net.pool = nn.AvgPool2d(2)
    return net


def relevance(net, x, target, rule):
    net = folded(net)
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d, Addition_Module)):
            # Of a maximum nothing is to be lost.
            other = EpsilonRule(1e-12 if isinstance(module, nn.MaxPool2d) else 1e-6)
            module.rule = rule() if isinstance(module, nn.Conv2d) else other
    return captum.attr.LRP(net).attribute(x, target=target)


class Gamma(GammaRule):
    """captum's rule, with the bias as one of the weights, as in the paper."""

    STABILITY_FACTOR = 1e-6

    def _manipulate_weights(self, module, inputs, outputs):
        super()._manipulate_weights(module, inputs, outputs)
        module.bias.data = module.bias.data + self.gamma * module.bias.data.clamp(min=0)


def by_captum(net, x, target):
    layer = captum.attr.LayerGradCam(net, net.relu3)
    return {
        "gradient": captum.attr.Saliency(net).attribute(x, target=target, abs=False),
        "gradient_x_input": captum.attr.InputXGradient(net).attribute(x, target=target),
        "integrated_gradients": captum.attr.IntegratedGradients(net).attribute(
            x, target=target, n_steps=STEPS, method="gausslegendre"
        ),
        "guided_backpropagation": captum.attr.GuidedBackprop(net).attribute(x, target=target),
        "deep_lift": captum.attr.DeepLift(with_means(net)).attribute(x, target=target),
        "lrp_epsilon": relevance(net, x, target, lambda: EpsilonRule(1e-6)),
        "lrp_gamma": relevance(net, x, target, Gamma),
        "occlusion": captum.attr.Occlusion(net).attribute(x, (3, 4, 4), (3, 2, 2), target=target)[:, 0],
        "captum_grad_cam": layer.attribute(x, target=target)[:, 0],
    }


CAMS = {
    "grad_cam": pytorch_grad_cam.GradCAM,
    "grad_cam_plus_plus": pytorch_grad_cam.GradCAMPlusPlus,
    "hires_cam": pytorch_grad_cam.HiResCAM,
    "layer_cam": pytorch_grad_cam.LayerCAM,
    "xgrad_cam": pytorch_grad_cam.XGradCAM,
    "score_cam": pytorch_grad_cam.ScoreCAM,
    "ablation_cam": pytorch_grad_cam.AblationCAM,
    "eigen_cam": pytorch_grad_cam.EigenCAM,
}


def by_grad_cam(net, x, target):
    found = {}
    for name, method in CAMS.items():
        cam = method(model=net, target_layers=[net.relu3])
        raw = []
        whole = type(cam).get_cam_image

        def keep(*arguments, whole=whole, cam=cam, raw=raw, **named):
            raw.append(whole(cam, *arguments, **named))
            return raw[-1]

        cam.get_cam_image = keep
        cam(input_tensor=x, targets=[ClassifierOutputTarget(int(t)) for t in target])
        found[name] = torch.from_numpy(numpy.array(raw[-1], dtype=numpy.float64))
    return found


def main():
    net, x, target = made()
    tensors = {f"net.{name}": value.detach() for name, value in net.state_dict().items() if "num_batches" not in name}
    tensors |= {"input": x, "target": target, "logits": net(x).detach()}
    tensors |= by_captum(net, x.clone().requires_grad_(), target) | by_grad_cam(net, x, target)
    path = pathlib.Path(__file__).with_name("saliency.safetensors")
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, path)


if __name__ == "__main__":
    main()
